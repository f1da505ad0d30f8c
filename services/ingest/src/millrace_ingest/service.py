"""Ingest, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from millrace_common.host import Host
from millrace_common.service import Service
from millrace_engine.events import compile_events
from millrace_ingest import http
from millrace_ingest.handlers import Ingest
from millrace_ingest.settings import Settings


def build(host: Host, *, answer_seconds_max: float = 10.0) -> Service:
    """Return the service; a request that the broker does not answer within `answer_seconds_max` gets a 503."""
    ingest = Ingest(host, compile_events(host.deployment), answer_seconds_max)
    return replace(Service("ingest").serve(http.app(ingest)), counts=ingest.counts)


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Yield the service; it opens nothing of its own."""
    yield build(host, answer_seconds_max=min(settings.answer_seconds_max, settings.send_seconds_max))
