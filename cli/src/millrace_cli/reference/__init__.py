"""The reference pages, generated from the code and compared with docs/reference in the tests."""

from collections.abc import Callable, Mapping

from millrace_cli.reference import asyncapi, features, messages, metrics, settings, topics

PAGES: Mapping[str, Callable[[], str]] = {
    "topics.md": topics.page,
    "messages.md": messages.page,
    "features.md": features.page,
    "settings.md": settings.page,
    "metrics.md": metrics.page,
    "asyncapi.json": asyncapi.document,
    **{f"schemas/{name}.json": schema for name, schema in messages.schemas().items()},
}


def generate() -> dict[str, str]:
    """Return every generated page by its path under docs/reference."""
    return {path: page() for path, page in PAGES.items()}
