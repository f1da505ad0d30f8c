"""The page on settings."""

from collections.abc import Mapping

from pydantic.fields import FieldInfo

import millrace_features.settings
import millrace_ingest.settings
import millrace_monitor.settings
import millrace_serving.settings
import millrace_trainer.settings
from millrace_common.settings import CommonSettings

SERVICES: Mapping[str, type[CommonSettings]] = {
    "ingest": millrace_ingest.settings.Settings,
    "features": millrace_features.settings.Settings,
    "trainer": millrace_trainer.settings.Settings,
    "gatekeeper": CommonSettings,
    "serving": millrace_serving.settings.Settings,
    "monitor": millrace_monitor.settings.Settings,
}


def page() -> str:
    """Return the tables of settings as Markdown."""
    own = "\n".join(_service(name, settings) for name, settings in SERVICES.items())
    return f"""# Settings

Read once, from the environment, when a process starts. How a model behaves stands in the pipeline file, never here.

| variable | default |
|---|---|
{_rows(CommonSettings, skip=())}

{own}"""


def _service(name: str, settings: type[CommonSettings]) -> str:
    rows = _rows(settings, skip=tuple(CommonSettings.model_fields))
    return f"## {name}\n\n| variable | default |\n|---|---|\n{rows}\n" if rows else f"## {name}\n\nNone of its own.\n"


def _rows(settings: type[CommonSettings], *, skip: tuple[str, ...]) -> str:
    prefix = str(settings.model_config.get("env_prefix", ""))
    return "\n".join(
        f"| `{_variable(name, field, prefix)}` | `{field.default}` |"
        for name, field in settings.model_fields.items()
        if name not in skip
    )


def _variable(name: str, field: FieldInfo, prefix: str) -> str:
    return str(field.validation_alias or prefix + name).upper()
