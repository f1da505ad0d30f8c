"""The page on settings."""

from importlib import import_module

from pydantic.fields import FieldInfo

from millrace_common.settings import CommonSettings

SERVICES = ("ingest", "features", "trainer", "gatekeeper", "serving", "monitor")


def page() -> str:
    """Return the tables of settings as Markdown."""
    own = "\n".join(_service(name) for name in SERVICES)
    return f"""# Settings

Read once, from the environment, when a process starts. How a model behaves stands in the pipeline file, never here.

| variable | default |
|---|---|
{_rows(CommonSettings, skip=())}

{own}"""


def _service(name: str) -> str:
    settings: type[CommonSettings] = import_module(f"millrace_{name}.settings").Settings
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
