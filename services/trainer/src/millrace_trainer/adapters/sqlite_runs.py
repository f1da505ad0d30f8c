"""The trainer's own state in SQLite: runs and requests. Calls are short and block; `:memory:` serves the backtest."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from millrace_common.errors import Misconfigured
from millrace_common.messages import Candidate
from millrace_trainer.core.task import Request, Run

FORMAT = 1
TABLES = """
create table if not exists runs (
    ordinal integer primary key, run_id text unique not null, model text not null, bootstrap integer,
    status text not null, body blob not null
);
create index if not exists open_runs on runs (ordinal) where status = 'started';
create table if not exists requests (
    ordinal integer primary key, request_id text unique not null, model text not null, waits integer not null,
    body blob not null
);
create index if not exists waiting on requests (ordinal) where waits;
"""


@dataclass(slots=True)
class SqliteRuns:
    """Every run and request, newest last. A run is open until it has an end.

    What is asked for at every batch is remembered until the next write; one process writes.
    """

    connection: sqlite3.Connection
    _open: list[Run] | None = None
    _waiting: list[Request] | None = None

    @classmethod
    def open(cls, path: Path | None) -> "SqliteRuns":
        """Open the state at `path`, or in memory; raises Misconfigured where the file is not ours or is newer."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(path or ":memory:")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            found = int(connection.execute("pragma user_version").fetchone()[0])
            if found not in (0, FORMAT):
                connection.close()
                raise Misconfigured(f"{path} has format {found}; this trainer knows {FORMAT}")
            connection.executescript(TABLES)
            connection.execute(f"pragma user_version = {FORMAT}")
        except sqlite3.DatabaseError as error:
            raise Misconfigured(f"{path} is no state of a trainer: {error}") from error
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def record(self, runs: Sequence[Run]) -> None:
        """Record runs to be done; a run that is known stays as it is. Its request waits no longer."""
        if not runs:
            return
        with self._writing():
            for run in runs:
                self.connection.execute(
                    "insert or ignore into runs (run_id, model, bootstrap, status, body) values (?, ?, ?, ?, ?)",
                    (run.task.run_id, run.task.model, run.bootstrap, run.candidate.status, msgspec.json.encode(run)),
                )
                self.connection.execute(
                    "update requests set waits = 0 where request_id = ?", (run.task.trigger.request_id,)
                )

    def end(self, run: Run, candidate: Candidate) -> None:
        """Note the last word about a run."""
        ended = msgspec.structs.replace(run, candidate=candidate)
        with self._writing():
            self.connection.execute(
                "update runs set status = ?, body = ? where run_id = ?",
                (candidate.status, msgspec.json.encode(ended), run.task.run_id),
            )

    def open_runs(self) -> list[Run]:
        """Return the runs to be done, oldest first."""
        if self._open is None:
            self._open = self._runs("where status = 'started' order by ordinal")
        return list(self._open)

    def get(self, run_id: str) -> Run | None:
        """Return one run."""
        return next(iter(self._runs("where run_id = ?", run_id)), None)

    def newest(self, limit: int) -> list[Run]:
        """Return the newest runs, newest first."""
        return self._runs("order by ordinal desc limit ?", limit)

    def last_bootstrap(self, model: str) -> Run | None:
        """Return a model's latest own attempt."""
        return next(iter(self._runs("where model = ? and bootstrap > 0 order by bootstrap desc limit 1", model)), None)

    def ask(self, requests: Sequence[Request]) -> None:
        """Note requests. Of a model's requests the newest waits; one that was noted before changes nothing."""
        with self._writing():
            for request in requests:
                noted = self.connection.execute(
                    "insert or ignore into requests (request_id, model, waits, body) values (?, ?, 1, ?)",
                    (request.request_id, request.model, msgspec.json.encode(request)),
                )
                if noted.rowcount:
                    self.connection.execute(
                        "update requests set waits = 0 where model = ? and request_id <> ?",
                        (request.model, request.request_id),
                    )

    def knows(self, request_id: str) -> bool:
        """Say whether a request was noted."""
        found = self.connection.execute("select 1 from requests where request_id = ?", (request_id,))
        return found.fetchone() is not None

    def waiting(self) -> list[Request]:
        """Return the requests that wait, oldest first."""
        if self._waiting is None:
            found = self.connection.execute("select body from requests where waits order by ordinal")
            self._waiting = [msgspec.json.decode(body, type=Request) for (body,) in found]
        return list(self._waiting)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write in one transaction, and forget what was remembered."""
        self._open = self._waiting = None
        with self.connection:
            yield

    def _runs(self, where: str, *values: str | int) -> list[Run]:
        found = self.connection.execute(f"select body from runs {where}", values)
        return [msgspec.json.decode(body, type=Run) for (body,) in found]
