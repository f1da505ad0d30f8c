"""Every metric, declared once: its name, its labels and what it counts. Base units: records, seconds, bytes."""

from prometheus_client import Counter, Gauge, Histogram

_SETTLE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# --- the runner: every service ---------------------------------------------------------------------------------------
RECORDS_READ = Counter("millrace_records_read", "Records handed to a handler and settled.", ("service", "topic"))
RECORDS_PUBLISHED = Counter("millrace_records_published", "Records acknowledged by the broker.", ("topic",))
DEAD_LETTERS = Counter("millrace_dead_letters", "Records refused, by reason.", ("topic", "reason"))
BATCH_SECONDS = Histogram(
    "millrace_batch_seconds",
    "From a batch's hand-over to its commit.",
    ("service", "topic"),
    buckets=_SETTLE_SECONDS,
)
POSITION = Gauge("millrace_position_records", "Offset to be read next.", ("topic", "partition"))
LAG = Gauge("millrace_lag_records", "Records between the position and the end of the log.", ("topic", "partition"))
READY = Gauge("millrace_ready", "Whether the service is ready: 1 or 0.", ("service",))
TICK_SECONDS = Histogram("millrace_tick_seconds", "Duration of a tick.", ("service", "tick"), buckets=_SETTLE_SECONDS)
JOBS = Counter("millrace_jobs", "Jobs that ended, by end: done or failed.", ("service", "end"))
SENDS_UNKNOWN = Counter("millrace_sends_unknown", "Sends that passed their deadline; the producer was renewed.")
