"""Run every benchmark on an embedded Kafka and Redis and keep what it says: `make bench`.

The result of each lies in benchmarks/results/<name>.json with the machine, the versions and the command.
"""

import json
import os
import platform as machine
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from millrace_cli import ports
from millrace_cli.platform import prepare
from millrace_cli.programs import hosted
from millrace_cli.settings import CliSettings

HERE = Path(__file__).parent
LIBRARIES = ("aiokafka", "faust-streaming", "msgspec", "numpy", "onnxruntime", "redis", "uvloop")
SECONDS_MAX = 1_800


def benchmarks() -> list[str]:
    """Return the names of the benchmarks, one module each."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__")


def run(name: str, environment: dict[str, str]) -> None:
    """Run one benchmark and keep its output."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    print(done.stdout)
    result = {
        "command": f"python -m benchmarks.{name}",
        "machine": {"processor": machine.processor() or machine.machine(), "cores": os.cpu_count()},
        "python": machine.python_version(),
        "versions": {library: version(library) for library in LIBRARIES},
        "output": done.stdout.splitlines(),
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    """Run all of them, one after the other."""
    settings = CliSettings()
    with (
        tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder,
        ports.claimed({name: port + 20_000 for name, port in ports.EMBEDDED.items()}) as chosen,
    ):
        servers = prepare(
            Path(folder),
            cache=settings.cache,
            kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
            redis_url=settings.redis_url,
            at=chosen,
        )
        with hosted(servers.programs):
            for name in benchmarks():
                run(
                    name,
                    {"KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers, "REDIS_URL": servers.redis_url},
                )


if __name__ == "__main__":
    main()
