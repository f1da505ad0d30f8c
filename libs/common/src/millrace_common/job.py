"""A job: a function named by path, called with bytes, returning bytes. As a program: one job in a child process.

python -m millrace_common.job module:function RESULT_FILE  < payload
"""

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from millrace_common.errors import Misconfigured
from millrace_common.service import Job


def target(name: str) -> Callable[[bytes], bytes]:
    """Return the function `module:function`. Raises Misconfigured where there is none."""
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise Misconfigured(f"{name} names no function; a job's target is module:function")

    def call(payload: bytes) -> bytes:
        return bytes(found(payload))

    return call


def run_inline(job: Job) -> bytes:
    """Run a job in this process, as the simulation does."""
    return target(job.target)(job.payload)


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent ends, so that a killed service leaves none."""
    death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent has ended")


def main(arguments: list[str]) -> None:
    """Read the payload from stdin, call the target, write the result whole or not at all."""
    name, result, parent = arguments
    die_with_parent(int(parent))
    data = target(name)(sys.stdin.buffer.read())
    partial = Path(result + ".partial")
    partial.write_bytes(data)
    partial.replace(result)


if __name__ == "__main__":
    main(sys.argv[1:])
