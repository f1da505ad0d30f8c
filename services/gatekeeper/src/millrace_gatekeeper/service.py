"""The gatekeeper, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from millrace_common.artifacts import ArtifactStore
from millrace_common.host import Host
from millrace_common.service import Service
from millrace_common.settings import CommonSettings
from millrace_common.topics import MODEL_CANDIDATES, PROMOTIONS
from millrace_gatekeeper import http
from millrace_gatekeeper.adapters import gate_files, onnx_graphs, onnx_scores
from millrace_gatekeeper.handlers import Artifacts, Examiner, Gatekeeper, Instruments


def build(host: Host, *, artifacts: Artifacts, wait_seconds_max: float = 30.0) -> Service:
    """Return the service; `wait_seconds_max` bounds how long an own step may take to come back."""
    instruments = Instruments(onnx_graphs.inspect, onnx_scores.score, gate_files.read)
    gatekeeper = Gatekeeper(host, Examiner(host, artifacts, instruments), wait_seconds_max)
    described = (
        Service("gatekeeper")
        .follow(PROMOTIONS.name, gatekeeper.on_promotions)
        .on(MODEL_CANDIDATES.name, gatekeeper.on_candidates)
        .serve(http.app(gatekeeper))
    )
    return replace(described, counts=gatekeeper.counts)


@asynccontextmanager
async def service(settings: CommonSettings, host: Host) -> AsyncIterator[Service]:
    """Open the artifact store and yield the service."""
    yield build(host, artifacts=ArtifactStore.open(settings.artifacts), wait_seconds_max=settings.send_seconds_max)
