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

# --- serving ---------------------------------------------------------------------------------------------------------
_ANSWER_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
SERVING_PREDICTIONS = Counter("millrace_serving_predictions", "Predictions made.", ("model", "via", "outcome"))
SERVING_LOAD_FAILURES = Counter("millrace_serving_load_failures", "Versions that could not be loaded.", ("model",))
SERVING_SPOOL_RECORDS = Gauge("millrace_serving_spool_records", "Answers that the broker does not have yet.")
SERVING_ANSWERS = Counter("millrace_serving_answers", "HTTP answers of the hot paths.", ("path", "status"))
SERVING_ANSWER_SECONDS = Histogram(
    "millrace_serving_answer_seconds", "From a request's body to its answer.", ("path",), buckets=_ANSWER_SECONDS
)

# --- features --------------------------------------------------------------------------------------------------------
FEATURES_EVENTS = Counter(
    "millrace_features_events", "Records of raw-data and copies, settled, by result.", ("result",)
)

# --- gatekeeper ------------------------------------------------------------------------------------------------------
GATE_VERDICTS = Counter("millrace_gate_verdicts", "Verdicts of the gates.", ("model", "gate", "verdict"))
PROMOTIONS_PUBLISHED = Counter(
    "millrace_promotions_published", "Steps of rollouts, by the state led to.", ("model", "to_state")
)
CANDIDATES_SKIPPED = Counter("millrace_candidates_skipped", "Candidates that no gate was asked about.", ("reason",))

# --- ingest ----------------------------------------------------------------------------------------------------------
EVENTS_ACCEPTED = Counter("millrace_events_accepted", "Events that the broker has, by type.", ("type",))
EVENTS_REFUSED = Counter("millrace_events_refused", "Events refused with their request, by reason.", ("reason",))

# --- trainer ---------------------------------------------------------------------------------------------------------
RUNS = Counter("millrace_trainer_runs", "Training runs that ended, by end.", ("model", "status"))
LABELLED_ROWS = Gauge("millrace_trainer_labelled_rows", "Labelled rows of a model without a champion.", ("model",))

# --- monitor ---------------------------------------------------------------------------------------------------------
ALERTS = Counter("millrace_alerts", "Alerts said, by kind and state.", ("kind", "state"))
INCIDENTS = Gauge("millrace_open_incidents", "Whether an incident of this kind is open: 1 or 0.", ("model", "kind"))
MODEL_ACCURACY = Gauge(
    "millrace_model_accuracy_ratio",
    "Accuracy on the labels known so far, of the model or a baseline.",
    ("model", "kind"),
)
EVIDENCE = Gauge(
    "millrace_monitor_evidence", "Evidence of a detector; it alarms at its stated budget.", ("model", "detector")
)
LOOP_SECONDS = Gauge(
    "millrace_closed_loop_seconds", "Steps of the last closed loop, each since the one before.", ("model", "step")
)
