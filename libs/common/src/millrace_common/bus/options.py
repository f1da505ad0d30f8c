"""How a process stands on Kafka: names, limits and deadlines."""

from dataclasses import dataclass

from millrace_common.records import TopicPartition
from millrace_common.settings import CommonSettings


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """What both Kafka buses need to know. The topic prefix is added here and nowhere else."""

    bootstrap: str
    prefix: str = ""
    instance: str = "0"
    batch_records_max: int = 5_000
    send_seconds_max: float = 30.0
    """The deadline of a send, a commit and any other question to the broker."""
    settle_seconds_max: float = 10.0
    """How long a partition that is taken away, or a process that stops, may go on settling."""
    session_seconds: float = 8.0
    """After that long without a heartbeat the broker gives a member's partitions to others."""

    @classmethod
    def of(cls, settings: CommonSettings) -> "KafkaOptions":
        """Return the options of a process."""
        return cls(
            settings.kafka_bootstrap_servers,
            prefix=settings.topic_prefix,
            instance=settings.instance,
            batch_records_max=settings.batch_records_max,
            send_seconds_max=settings.send_seconds_max,
        )

    def group(self, service: str) -> str:
        """Return the consumer group of a service."""
        return f"{self.prefix}millrace.{service}"

    def named(self, topic: str) -> str:
        """Return a topic's name on the broker."""
        return self.prefix + topic

    def at(self, topic: str, partition: int) -> TopicPartition:
        """Return a partition by its logical topic, given the broker's name of it."""
        return TopicPartition(topic.removeprefix(self.prefix), partition)
