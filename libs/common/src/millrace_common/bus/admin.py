"""Creating topics: never done by the broker on its own, always with settings of our own."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from millrace_common.errors import Misconfigured, Unavailable
from millrace_common.topics import Topic

_SECONDS_MAX = 30.0
_TOPIC_EXISTS = 36
_REPLICAS_MAX = 3


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            await admin.start()
            yield admin
    except (TimeoutError, KafkaError) as error:
        raise Unavailable(f"Kafka at {bootstrap}: {error!r}") from error
    finally:
        await admin.close()


def _settings(topic: Topic, replicas: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.message_bytes_max),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2" if replicas >= _REPLICAS_MAX else "1",
    }


async def create_topics(bootstrap: str, topics: Iterable[Topic], *, prefix: str = "", partitions: int = 4) -> list[str]:
    """Create the topics that do not exist yet and return their names; those that exist stay as they are."""
    async with _admin(bootstrap) as admin:
        brokers = (await admin.describe_cluster())["brokers"]
        replicas = min(_REPLICAS_MAX, len(brokers))
        response = await admin.create_topics(
            [
                NewTopic(
                    name=prefix + topic.name,
                    num_partitions=partitions if topic.partitions == "data" else 1,
                    replication_factor=replicas,
                    topic_configs=_settings(topic, replicas),
                )
                for topic in topics
            ]
        )
    created = []
    for name, code, *_ in response.topic_errors:
        if code == 0:
            created.append(str(name))
        elif code != _TOPIC_EXISTS:
            raise Misconfigured(f"topic {name} cannot be created: {for_code(code).__name__}")
    return created


async def partitions(bootstrap: str, topics: Iterable[str], *, prefix: str = "") -> dict[str, int]:
    """Return how many partitions each topic has that exists, by its logical name."""
    async with _admin(bootstrap) as admin:
        wanted = {prefix + topic: topic for topic in topics}
        known = set(await admin.list_topics()) & set(wanted)
        described = await admin.describe_topics(sorted(known)) if known else []
    return {wanted[topic["topic"]]: len(topic["partitions"]) for topic in described}
