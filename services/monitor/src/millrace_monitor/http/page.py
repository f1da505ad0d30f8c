"""The status page as HTML. Its chart draws what its table says."""

from datetime import UTC, datetime

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from millrace_common.messages import Alert
from millrace_monitor.core.feed import Feed
from millrace_monitor.core.status import Status

ALERTS_SHOWN = 50
_ALERT = msgspec.json.Decoder(Alert)


def moment(time_us: int | None) -> str:
    """Return a time for people.

    >>> moment(0), moment(None)
    ('1970-01-01 00:00:00', 'not yet')
    """
    if time_us is None:
        return "not yet"
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def percent(share: float | None) -> str:
    """Return a share for people.

    >>> percent(0.8533), percent(None)
    ('85.3 %', 'no labels yet')
    """
    return "no labels yet" if share is None else f"{100 * share:.1f} %"


def seconds(from_us: int | None, to_us: int) -> str:
    """Return how long something took, for people.

    >>> seconds(0, 90_500_000), seconds(0, 400_000), seconds(None, 5)
    ('1 min 30 s', '0.4 s', 'not known')
    """
    if from_us is None:
        return "not known"
    whole, rest = divmod(to_us - from_us, 1_000_000)
    if abs(whole) < 10:
        return f"{(to_us - from_us) / 1e6:.1f} s"
    parts = ((whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or f"{rest} us"


def render(status: Status, feed: Feed) -> str:
    """Return the page."""
    newest = feed.after(feed.end - ALERTS_SHOWN - 1)
    alerts = [(offset, _ALERT.decode(value)) for offset, value in reversed(newest)]
    return _TEMPLATE.render(status=status, alerts=alerts)


def _template_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("millrace_monitor.http", "pages"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "percent": percent}
    environment.globals["seconds"] = seconds
    return environment


_TEMPLATE = _template_environment().get_template("status.html")
