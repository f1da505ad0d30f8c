"""The monitor put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from millrace_common.artifacts import ArtifactStore
from millrace_common.host import Host
from millrace_common.service import Service
from millrace_common.topics import DRIFT_ALERTS, FEATURES, MODEL_CANDIDATES, PREDICTIONS, PROMOTIONS
from millrace_monitor.adapters import SqliteState
from millrace_monitor.core.saved import Saved, registry_of
from millrace_monitor.core.watch import watches_of
from millrace_monitor.handlers import Artifacts, Monitor, State
from millrace_monitor.http import app
from millrace_monitor.settings import Settings

TICK_US = 1_000_000


class Opened(State, Protocol):
    """State with what it held when it was opened."""

    @property
    def saved(self) -> Saved:
        """Return what was stored."""
        ...


def build(host: Host, *, state: Opened, artifacts: Artifacts) -> Service:
    """Return the monitor on the given state and artifact store."""
    monitor = Monitor(
        watches=watches_of(host.deployment, state.saved),
        registry=registry_of(state.saved),
        state=state,
        artifacts=artifacts,
        clock=host.clock,
        version=host.version,
        positions=dict(state.saved.cursors),
        stored=dict(state.saved.cursors),
    )
    return (
        Service("monitor", counts=monitor.counts)
        .on(PROMOTIONS.name, monitor.on_promotions, cursors=monitor)
        .on(MODEL_CANDIDATES.name, monitor.on_candidates, cursors=monitor)
        .on(FEATURES.name, monitor.on_features, cursors=monitor)
        .on(PREDICTIONS.name, monitor.on_predictions, cursors=monitor)
        .follow(DRIFT_ALERTS.name, monitor.on_alerts)
        .tick("judge", TICK_US, monitor.on_tick)
        .serve(app(monitor))
    )


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Open the state and the artifact store, and yield the monitor."""
    async with SqliteState.open(settings.state) as state:
        yield build(host, state=state, artifacts=ArtifactStore.open(settings.artifacts))
