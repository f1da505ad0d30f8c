"""The page on topics."""

from millrace_common.topics import DAY_MS, KEEP, Topic, of_deployment


def page() -> str:
    """Return the table of topics as Markdown."""
    rows = "\n".join(_row(topic) for topic in of_deployment(()))
    return f"""# Topics

Created by `millrace up` or `millrace topics create`, never by a first message. Names take `MILLRACE_TOPIC_PREFIX`.
All use the broker's append time; event time travels in `ce_time`. Partitions: `MILLRACE_PARTITIONS` (4) when created,
afterwards the broker's count is the truth. Each group by another entity adds `raw-data.by-<entity>` and its dead-letter
topic.

| topic | one writer | partitions | kept | largest message |
|---|---|---|---|---|
{rows}
"""


def _row(topic: Topic) -> str:
    kept = "for good" if topic.retention_ms == KEEP else f"{topic.retention_ms // DAY_MS} d"
    partitions = "1" if topic.partitions == "one" else "`MILLRACE_PARTITIONS`"
    return f"| `{topic.name}` | {topic.writer} | {partitions} | {kept} | {topic.message_bytes_max >> 20} MiB |"
