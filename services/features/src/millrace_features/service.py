"""Composition of the features service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from millrace_common.computing import Compute, at_once, compute_thread
from millrace_common.host import Host
from millrace_common.online import OnlineWriter
from millrace_common.service import Service
from millrace_common.topics import RAW_DATA
from millrace_engine.events import compile_events
from millrace_features.core.feeds import compile_feeds
from millrace_features.core.judging import Judging
from millrace_features.core.unpacking import unpacked
from millrace_features.core.warming import compile_kernels
from millrace_features.handlers import Features, Online
from millrace_features.settings import ENTITIES_MAX, Settings


def build(
    host: Host,
    *,
    store: Online,
    entities_max: int = ENTITIES_MAX,
    at_a_glance: bool = True,
    compute: Compute = at_once,
) -> Service:
    """Wire the service: one subscription to raw-data, one to the topic of each other entity that groups go by.

    Without `at_a_glance` ordinary records are looked at as closely as odd ones, and nothing else differs.
    """
    feeds = compile_feeds(host.deployment)
    events = compile_events(host.deployment)
    judging = Judging(feeds, host.version, entities_max)
    features = Features(judging, events, store, host.publisher, at_a_glance, compute)
    service = Service("features", counts=lambda: dict(features.counts), unpack=unpacked)
    for topic, feed in feeds.by_topic.items():
        service = service.on(topic, features.on_batch, cursors=features, reach_us=feed.reach_us, in_turn=True)
    return service


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Open the online store and yield the service."""
    compile_kernels()
    connecting = OnlineWriter.connect(settings.redis_url, retry_seconds_max=settings.features_redis_seconds_max)
    with compute_thread() as compute:
        async with connecting as store:
            await store.claim(await host.publisher.partitions(RAW_DATA.name))
            yield build(host, store=store, entities_max=settings.features_cache_entities_max, compute=compute)
