"""The memory in one SQLite file: documents, waiting events and cursors change in one transaction."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from millrace_common.errors import Fenced, Misconfigured
from millrace_common.records import TopicPartition
from millrace_monitor.core.saved import Changes, Saved

FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS document (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (model TEXT, event_id TEXT, body BLOB NOT NULL, PRIMARY KEY (model, event_id))
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursor (topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition))
WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class SqliteState:
    """A file that one process holds locked. A write is durable against the end of the process, not of the machine:
    a file that went back is a cursor that went back, and the log is read again from there.
    """

    saved: Saved
    _connection: sqlite3.Connection

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["SqliteState"]:
        """Open or create the file; raises Misconfigured where it cannot be used, or another process holds it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        except sqlite3.OperationalError as error:
            raise Misconfigured(f"{path}: {error}") from error
        try:
            yield cls(_prepared(connection, path), connection)
        finally:
            connection.close()

    @property
    def is_durable(self) -> bool:
        """Say that what is saved outlives the process."""
        return True

    async def cursor(self, at: TopicPartition) -> int | None:
        """Return the stored offset to read next."""
        found = self._connection.execute(
            "SELECT next FROM cursor WHERE topic = ? AND partition = ?", (at.topic, at.partition)
        ).fetchone()
        return None if found is None else int(found[0])

    async def save(self, changes: Sequence[Changes]) -> None:
        """Store steps in order, all of them or none."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for one in changes:
                self._write(one)
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise Fenced(f"the monitor's state could not be written: {error}") from error

    def _write(self, changes: Changes) -> None:
        write = self._connection.executemany
        write("INSERT OR REPLACE INTO document VALUES (?, ?)", changes.documents.items())
        for model, entries in changes.entries.items():
            kept = [(model, event_id, body) for event_id, body in entries.items() if body is not None]
            gone = [(model, event_id) for event_id, body in entries.items() if body is None]
            write("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", kept)
            write("DELETE FROM entry WHERE model = ? AND event_id = ?", gone)
        if changes.at is not None:
            write(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)",
                [(changes.at.topic, changes.at.partition, changes.end)],
            )


def _prepared(connection: sqlite3.Connection, path: Path) -> Saved:
    """Lock the file, see that its format is ours, and return what it holds."""
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, FORMAT):
            raise Misconfigured(f"{path} has format {found}, this monitor knows {FORMAT}; upgrade the monitor")
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        return _saved(connection)
    except sqlite3.DatabaseError as error:
        raise Misconfigured(f"{path}: {error}; is another monitor running on this home folder?") from error


def _saved(connection: sqlite3.Connection) -> Saved:
    entries: dict[str, dict[str, bytes]] = {}
    for model, event_id, body in connection.execute("SELECT model, event_id, body FROM entry"):
        entries.setdefault(model, {})[event_id] = body
    return Saved(
        documents=dict(connection.execute("SELECT name, body FROM document")),
        entries=entries,
        cursors={
            TopicPartition(topic, partition): next_
            for topic, partition, next_ in connection.execute("SELECT topic, partition, next FROM cursor")
        },
    )
