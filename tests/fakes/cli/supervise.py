"""A supervisor over stand-ins, as a program: python supervise.py HOME NAME=MODE..."""

import sys
from pathlib import Path

from millrace_cli import api, ports
from millrace_cli.home import MARK, Endpoints, Home
from millrace_cli.programs import Program
from millrace_cli.settings import environment_with
from millrace_cli.supervisor import Stage, Supervisor
from millrace_common.clock import SystemClock
from millrace_common.errors import EXIT_CONFIGURATION, Misconfigured

STANDIN = Path(__file__).with_name("standin.py")


def program(home: Home, name: str, mode: str, port: int) -> Program:
    """Return a stand-in as a program."""
    return Program(
        name=name,
        command=(sys.executable, "-I", "-S", str(STANDIN), str(port), mode),
        environment=environment_with({MARK: str(home.folder.absolute())}),
        log=home.log(name),
        port=port,
        is_ready=lambda: api.is_ready(f"http://127.0.0.1:{port}"),
    )


def main(folder: str, words: list[str]) -> None:
    """Supervise the stand-ins, each a stage of its own, in the order given."""
    home = Home(Path(folder))
    modes = dict(word.split("=") for word in words)
    wanted = {name: 24_000 + number for number, name in enumerate(modes)}
    with home.held(), ports.claimed(wanted) as chosen:
        home.sweep()
        services = {name: f"http://127.0.0.1:{port}" for name, port in chosen.items()}
        home.write(Endpoints("", "", services, chosen, ()))
        stages = [Stage((program(home, name, mode, chosen[name]),)) for name, mode in modes.items()]
        Supervisor(home, stages, SystemClock(), stop_seconds_max=1.0).run()


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIGURATION)
