"""Where the monitor keeps its memory."""

from millrace_monitor.adapters.memory import MemoryState
from millrace_monitor.adapters.sqlite import SqliteState

__all__ = ["MemoryState", "SqliteState"]
