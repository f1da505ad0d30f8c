"""The page on metrics."""

from prometheus_client.metrics import MetricWrapperBase

from millrace_common import metrics


def page() -> str:
    """Return the table of metrics as Markdown."""
    declared = sorted(
        (value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)), key=lambda one: one._name
    )
    rows = "\n".join(_row(metric) for metric in declared)
    return f"""# Metrics

Every service answers `/metrics` in Prometheus' text format; a counter's name there ends in `_total`.

| metric | type | labels | what |
|---|---|---|---|
{rows}
"""


def _row(metric: MetricWrapperBase) -> str:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return f"| `{metric._name}` | {metric._type} | {labels} | {metric._documentation} |"
