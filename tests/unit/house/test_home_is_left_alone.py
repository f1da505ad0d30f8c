"""No library of ours writes where the user did not ask for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("service", ["trainer", "gatekeeper", "serving"])
def test_importing_what_runs_models_writes_nothing_into_the_home(service: str, tmp_path: Path) -> None:
    """ONNX Runtime's telemetry stays off: it would keep an id of the machine under ~/.cache."""
    home = tmp_path / "home"
    home.mkdir()

    subprocess.run(
        [sys.executable, "-c", f"import millrace_{service}.service"],
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        check=True,
    )

    assert list(home.rglob("*")) == []
