"""Every command, one line each: a function is a command by its name, a Typer is a group of them."""

from collections.abc import Callable, Mapping

import typer

from millrace_cli.commands import (
    alerts,
    backtest,
    check,
    demo,
    docs,
    doctor,
    features,
    init,
    logs,
    models,
    predict,
    replay,
    runs,
    status,
    topics,
    train,
    up,
    version,
)

COMMANDS: tuple[Callable[..., None], ...] = (
    demo.demo,
    init.init,
    check.check,
    backtest.backtest,
    replay.replay,
    up.up,
    up.down,
    status.status,
    doctor.doctor,
    predict.predict,
    train.train,
    logs.logs,
    version.version,
)
GROUPS: Mapping[str, typer.Typer] = {
    "topics": topics.group,
    "models": models.group,
    "runs": runs.group,
    "features": features.group,
    "alerts": alerts.group,
    "docs": docs.group,
}


def register(app: typer.Typer) -> None:
    """Add every command to the app, in this order."""
    for command in COMMANDS:
        app.command()(command)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name)
