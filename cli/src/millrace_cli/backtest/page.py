"""A backtest drawn: one HTML file that stands alone, accuracy over time with alerts and promotions marked."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
import msgspec

from millrace_cli.backtest.report import Report, when

TEMPLATE = Path(__file__).with_name("page.html")


def page(reports: Sequence[Report]) -> str:
    """Return the page; its chart is drawn by the same vendored uPlot as the monitor's."""
    static = files("millrace_monitor.http") / "static"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["when"] = when
    return environment.from_string(TEMPLATE.read_text()).render(
        reports=reports,
        charts=[_chart(report) for report in reports],
        uplot_js=(static / "uPlot-1.6.32.iife.min.js").read_text(),
        uplot_css=(static / "uPlot-1.6.32.min.css").read_text(),
    )


def _chart(report: Report) -> str:
    """Return what the page's script draws, as JSON that may stand inside a script element."""
    shown = {
        "times": [point.at_us / 1e6 for point in report.curve],
        "loop": [point.loop for point in report.curve],
        "never": [point.never_retrain for point in report.curve],
        "promotions": [step.at_us / 1e6 for step in report.versions if step.to_state == "champion"],
        "alerts": [said.at_us / 1e6 for said in report.alerts if said.state == "firing"],
    }
    return msgspec.json.encode(shown).decode().replace("</", "<\\/")
