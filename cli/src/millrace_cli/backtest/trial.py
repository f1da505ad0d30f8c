"""One backtest: a file, a pipeline with its two numbers changed, the loop, and the account of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from millrace.spec import Deployment, FileSourceSpec, PipelineSpec
from millrace_cli.backtest.accounts import Story, story, topic_digest
from millrace_cli.backtest.loop import Loop, first_of, in_memory
from millrace_cli.backtest.report import Report, summarise
from millrace_common.errors import Misconfigured
from millrace_common.topics import MAIN
from millrace_engine.files import events_of
from millrace_ingest.adapters.files import rows
from millrace_serving.adapters.onnx import load


@dataclass(frozen=True, slots=True)
class Changes:
    """What a backtest may change of a pipeline: the labels' delay, and the labelled rows before the first training."""

    delay_us: int | None = None
    bootstrap_rows: int | None = None


def changed(deployment: Deployment, changes: Changes) -> Deployment:
    """Return the deployment with the changes in each pipeline."""
    pipelines = {name: _changed(pipeline, changes) for name, pipeline in deployment.pipelines.items()}
    return replace(deployment, pipelines=pipelines)


def _changed(pipeline: PipelineSpec, changes: Changes) -> PipelineSpec:
    training = pipeline.model.training
    if changes.bootstrap_rows is not None:
        training = replace(training, bootstrap_rows=changes.bootstrap_rows)
    source = pipeline.source
    if source is not None and changes.delay_us is not None:
        first, *later = source.events
        source = FileSourceSpec((first, *(replace(event, delay_us=changes.delay_us) for event in later)))
    return replace(pipeline, model=replace(pipeline.model, training=training), source=source)


async def backtest(
    deployment: Deployment, file: Path, changes: Changes, *, told: Callable[[int], None]
) -> tuple[Report, ...]:
    """Run every pipeline of the deployment over `file` and return a report of each.

    Raises Misconfigured where a pipeline has no file source, Refused where a row cannot be an event.
    """
    began = time.monotonic()
    deployment = changed(deployment, changes)
    pipelines = tuple(deployment.pipelines.values())
    source = next((pipeline.source for pipeline in pipelines if pipeline.source is not None), None)
    if source is None:
        raise Misconfigured(f"{pipelines[0].name} has no source: say in it how rows of a file become events")
    first, events = first_of(events_of(source, deployment, rows(file)))
    async with in_memory(deployment, start_us=first.at_us if first else 0) as loop:
        await loop.run(events, told=told)
        return tuple([await _report(loop, pipeline, began=began) for pipeline in pipelines])


async def _report(loop: Loop, pipeline: PipelineSpec, *, began: float) -> Report:
    account = story(loop.bus.log, pipeline)
    frozen = await _never_retrained(loop, pipeline, account)
    digests = {topic.name: topic_digest(loop.bus.log[topic.name]) for topic in MAIN}
    return summarise(pipeline.name, account, frozen, digests, seconds=time.monotonic() - began)


async def _never_retrained(loop: Loop, pipeline: PipelineSpec, account: Story) -> Sequence[bool]:
    """Return the decisions that the first champion would have made on every answered event."""
    first = next((promotion.arms[0] for promotion in account.promotions if promotion.arms), None)
    if first is None or not account.answered:
        return ()
    files = await loop.artifacts.get(first.artifact_uri, first.digest)
    model = load(files, [column.name for column in pipeline.model.view.columns])
    vectors = [[np.nan if value is None else value for value in event.vector] for event in account.answered]
    return [bool(score >= model.threshold) for score in model.score(np.array(vectors, np.float32))]
