"""The trainer, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Protocol

from millrace_common.artifacts import ArtifactStore
from millrace_common.host import Host
from millrace_common.service import Cursors, Service
from millrace_common.topics import DRIFT_ALERTS, FEATURES, PROMOTIONS
from millrace_trainer.adapters.delta_rows import DeltaRows
from millrace_trainer.adapters.imports import Imports
from millrace_trainer.adapters.sqlite_runs import SqliteRuns
from millrace_trainer.core.plan import courses
from millrace_trainer.core.tally import Tally
from millrace_trainer.handlers import Rows, Runs, Trainer
from millrace_trainer.http import app
from millrace_trainer.settings import Settings


class RowStore(Rows, Cursors, Protocol):
    """Rows that know how far they were read."""


def trainer_of(host: Host, *, rows: Rows, runs: Runs) -> Trainer:
    """Return the handlers on these rows and runs."""
    known = courses(host.deployment, topic=FEATURES.name, version=host.version)
    tallies = {name: Tally(course.lesson) for name, course in known.items()}
    return Trainer(known, rows, runs, host.clock, host.version, tallies=tallies)


def build(host: Host, *, rows: RowStore, runs: Runs, imports: Imports | None = None) -> Service:
    """Return the service on these adapters; without `imports` it answers no HTTP."""
    return wired(trainer_of(host, rows=rows, runs=runs), host, rows=rows, imports=imports)


def wired(trainer: Trainer, host: Host, *, rows: Cursors, imports: Imports | None) -> Service:
    """Return the service around its handlers."""
    built = (
        Service("trainer", counts=lambda: trainer.counted)
        .follow(PROMOTIONS.name, trainer.on_promotions)
        .on(FEATURES.name, trainer.on_features, cursors=rows)
        .on(DRIFT_ALERTS.name, trainer.on_alerts)
        .job(trainer)
    )
    return built if imports is None else built.serve(app(trainer, imports, host.publisher))


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Open the table, the state and the artifact store, count what is kept, and yield the service."""
    imports = Imports(ArtifactStore.open(settings.artifacts))
    rows = await DeltaRows.open(settings.rows, artifacts_url=settings.artifacts, topic=FEATURES.name)
    with closing(SqliteRuns.open(settings.state)) as runs:
        trainer = trainer_of(host, rows=rows, runs=runs)
        await trainer.recall()
        yield wired(trainer, host, rows=rows, imports=imports)
