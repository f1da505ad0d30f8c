"""What is compiled before the first batch."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_after_the_start_nothing_is_compiled() -> None:
    """In a process of its own, which no other test has warmed: batches of one class, of two, and busy entities."""
    command = [sys.executable, "-m", "tests.fakes.features.warmed"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == []
