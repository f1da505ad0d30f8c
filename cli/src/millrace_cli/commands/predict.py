"""`millrace predict`: ask serving for one answer."""

import json as jsonlib
from typing import Annotated, Any

import typer

from millrace_cli import api, console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of, pairs


def predict(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    home: HomeOption = None,
    *,
    entity: Annotated[list[str] | None, typer.Option("--entity", help="TYPE=ID, as card=4929; repeatable.")] = None,
    field: Annotated[list[str] | None, typer.Option("--field", help="NAME=VALUE of the event; repeatable.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="The time to answer for, RFC 3339; default now.")] = None,
    json: JsonOption = False,
) -> None:
    """Ask for a prediction by entity and event fields."""
    asked = {
        "entities": {name: entity_id(value) for name, value in pairs(entity or [], "--entity").items()},
        "fields": {name: scalar(value) for name, value in pairs(field or [], "--field").items()},
        **({"at": at} if at is not None else {}),
    }
    answer = api.of(home_of(home), "serving").post(f"/v1/models/{model}/predict", asked)
    if json:
        console.show_json(answer)
    else:
        _show(answer)


def scalar(text: str) -> object:
    """Return a field's value: a JSON scalar where the text is one, else the text itself.

    >>> scalar("12.5"), scalar("nsw"), scalar("true"), scalar('"7"')
    (12.5, 'nsw', True, '7')
    """
    try:
        value = jsonlib.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, list | dict) else value


def entity_id(text: str) -> object:
    """Return an entity's id: a JSON array for a composite one, else the text as it is.

    >>> entity_id("0071"), entity_id('["nsw", 7]')
    ('0071', ['nsw', 7])
    """
    return jsonlib.loads(text) if text.startswith("[") else text


def _show(answer: dict[str, Any]) -> None:
    facts = ("model", "version", "score", "decision", "threshold", "prediction_id")
    console.show_table(("", ""), [(name, answer.get(name)) for name in facts if answer.get(name) is not None])
    console.show_table(("feature", "value"), (answer.get("features") or {}).items())
    if answer.get("flags"):
        console.say("flags: " + ", ".join(answer["flags"]))
