"""The home folder: what is where, and the files that the supervisor and the other commands share."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from millrace_common.errors import Misconfigured

FORMAT = 1
SWEEP_SECONDS_MAX = 5.0
SWEEP_PAUSE_SECONDS = 0.02
MARK = "MILLRACE_SUPERVISED_HOME"
"""In the environment of every child, so that what a killed supervisor left can be found."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where everything of a home is reached; kept between runs, so that ports and pipelines stay."""

    kafka_bootstrap_servers: str
    redis_url: str
    services: Mapping[str, str]
    ports: Mapping[str, int]
    pipelines: tuple[str, ...]
    topic_prefix: str = ""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One child as the supervisor sees it. States: waiting, starting, ready, unready, refused, stopped."""

    name: str
    state: str
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The platform as its supervisor sees it. States: starting, ready, degraded, stopping, stopped."""

    state: str
    pid: int
    since_us: int
    processes: tuple[ProcessStatus, ...] = field(default=())
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Stated:
    """The one field that every version of these files has."""

    format: int


Shape = TypeVar("Shape", Endpoints, Status)


@dataclass(frozen=True, slots=True)
class Home:
    """One home folder. Nothing is created before it is written."""

    folder: Path

    @property
    def logs(self) -> Path:
        """Return the folder of the processes' logs."""
        return self.folder / "logs"

    def log(self, process: str) -> Path:
        """Return the log of one process."""
        return self.logs / f"{process}.log"

    def endpoints(self) -> Endpoints | None:
        """Return where things are, or None in a folder that was never up; Misconfigured when it cannot be read."""
        return self._read("endpoints.json", Endpoints)

    def status(self) -> Status | None:
        """Return the supervisor's last word, or None; whether it is alive is told by `supervisor()`."""
        return self._read("status.json", Status)

    def write(self, value: Endpoints | Status) -> None:
        """Replace endpoints.json or status.json, whole or not at all."""
        name = "endpoints.json" if isinstance(value, Endpoints) else "status.json"
        partial = self.folder / f"{name}.{os.getpid()}.partial"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
        partial.replace(self.folder / name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Own the folder as its only supervisor; Misconfigured when another one lives."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "supervisor.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise self._already_up() from error
            (self.folder / "supervisor.pid").write_text(f"{os.getpid()}\n")
            try:
                yield
            finally:
                (self.folder / "supervisor.pid").unlink(missing_ok=True)

    def refuse_second(self) -> None:
        """Raise Misconfigured when a supervisor lives, as `held` would."""
        if self.supervisor() is not None:
            raise self._already_up()

    def supervisor(self) -> int | None:
        """Return the process id of the living supervisor, or None: its lock tells, not the file with its number."""
        try:
            with (self.folder / "supervisor.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._pid()
        return None

    def leftovers(self) -> tuple[int, ...]:
        """Return the living processes that were started, directly or not, by a supervisor of this folder."""
        mark = f"{MARK}={self.folder.absolute()}\0".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return tuple(sorted(found))

    def sweep(self) -> None:
        """Kill what an earlier supervisor left and see it gone; only for one who knows that no supervisor lives."""
        deadline = time.monotonic() + SWEEP_SECONDS_MAX
        while (pids := self.leftovers()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(SWEEP_PAUSE_SECONDS)

    def _already_up(self) -> Misconfigured:
        owner = f"millrace is already up on {self.folder} (supervisor {self._pid() or 'unknown'})"
        return Misconfigured(f"{owner}; see `millrace status`, end it with `millrace down`")

    def _pid(self) -> int | None:
        with suppress(FileNotFoundError, ValueError):
            return int((self.folder / "supervisor.pid").read_text())
        return None

    def _read(self, name: str, kind: type[Shape]) -> Shape | None:
        try:
            data = (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            stated = msgspec.json.decode(data, type=Stated).format
            if stated > FORMAT:
                raise Misconfigured(f"{self.folder} has format {stated}, this version knows {FORMAT}: upgrade millrace")
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise Misconfigured(
                f"{self.folder / name} cannot be read: {error}; remove it and run `up` again"
            ) from error
