"""The monitor over HTTP: its status, its alerts, a page for people, and a bell for those who want a new model."""

from millrace_monitor.http.app import app

__all__ = ["app"]
