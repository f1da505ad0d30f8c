"""Serving, wired."""

import itertools
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from millrace_common import ids
from millrace_common.artifacts import ArtifactStore
from millrace_common.host import Host
from millrace_common.metrics import SERVING_SPOOL_RECORDS
from millrace_common.online import OnlineReader
from millrace_common.service import Service
from millrace_common.topics import FEATURES, PROMOTIONS
from millrace_engine.warm import compile_kernels
from millrace_serving.adapters.onnx import OnnxLoader
from millrace_serving.adapters.spool import open_spool, sending
from millrace_serving.core.counts import Counts
from millrace_serving.core.definitions import compile_definitions
from millrace_serving.core.limits import Limits
from millrace_serving.core.slots import Slot
from millrace_serving.handlers import Artifacts, Desk, Models, Online, Serving, Spool
from millrace_serving.http.app import build_app
from millrace_serving.settings import Settings

RETRY_EVERY_US = 1_000_000
REQUESTS_MAX = 1_024


def build(
    host: Host,
    *,
    online: Online,
    artifacts: Artifacts,
    spool: Spool | None = None,
    limits: Limits | None = None,
    requests_max: int = REQUESTS_MAX,
) -> Service:
    """Wire serving. Without a spool it scores the stream only, as the backtest does."""
    slots = {name: Slot(each) for name, each in compile_definitions(host.deployment).items()}
    counts = Counts()
    models = Models(slots, artifacts, OnnxLoader(in_thread=not host.clock.is_virtual), counts)
    incarnation = "" if host.clock.is_virtual else secrets.token_hex(16)
    calls = itertools.count()
    serving = Serving(
        models,
        Desk(online, limits or Limits()),
        spool,
        host.clock,
        counts,
        lambda: ids.h(host.instance, incarnation, next(calls)),
        host.version,
    )
    service = Service("serving", counts=lambda: _counted(counts, slots, spool))
    service = service.follow(PROMOTIONS.name, models.on_promotions).on(FEATURES.name, serving.on_features)
    if not host.clock.is_virtual:
        service = service.tick("models", RETRY_EVERY_US, models.retry)
    if spool is not None:
        service = service.serve(build_app(serving, slots, version=host.version, requests_max=requests_max))
    return service


def _counted(counts: Counts, slots: Mapping[str, Slot], spool: Spool | None) -> dict[str, int]:
    waiting = 0 if spool is None else spool.records
    SERVING_SPOOL_RECORDS.set(waiting)
    return {
        **asdict(counts),
        "models_active": sum(slot.active is not None for slot in slots.values()),
        "models_not_loaded": sum(slot.failure is not None for slot in slots.values()),
        "spool_records": waiting,
    }


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Open what serving stands on and yield it; answers of an earlier process are sent on."""
    compile_kernels()
    limits = Limits(online_seconds_max=settings.serving_online_milliseconds_max / 1_000)
    artifacts = ArtifactStore.open(settings.artifacts)
    async with (
        OnlineReader.connect(settings.redis_url) as online,
        open_spool(settings.spool, bytes_max=settings.serving_spool_bytes_max) as spool,
        sending(spool, host.publisher),
    ):
        yield build(
            host,
            online=online,
            artifacts=artifacts,
            spool=spool,
            limits=limits,
            requests_max=settings.serving_requests_max,
        )
