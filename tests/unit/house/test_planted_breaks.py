"""Each rule that a tool enforces is shown to fail: a copy of the tree with one planted break for each."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]

# One line planted in one file for each import contract, by a part of the contract's name.
IMPORT_BREAKS = {
    "cli -> services": ("services/ingest/src/millrace_ingest/handlers.py", "import millrace_trainer"),
    "Inside a service": ("services/ingest/src/millrace_ingest/core/pacing.py", "import millrace_ingest.handlers"),
    "are pure": ("libs/engine/src/millrace_engine/views.py", "import asyncio"),
    "aiokafka": ("services/monitor/src/millrace_monitor/handlers.py", "import aiokafka"),
    "Redis": ("services/serving/src/millrace_serving/handlers.py", "import redis"),
    "ONNX": ("services/serving/src/millrace_serving/handlers.py", "import onnxruntime"),
    "FastAPI": ("services/trainer/src/millrace_trainer/handlers.py", "import fastapi"),
    "object stores": ("services/trainer/src/millrace_trainer/handlers.py", "import fsspec"),
    "no service and no bus": ("libs/common/src/millrace_common/registry.py", "import millrace_common.run"),
}

# One snippet for each rule of ruff that the house style stands on.
RUFF_BREAKS = {
    "BLE001": "try:\n    x = 1\nexcept Exception:\n    pass\n",
    "E722": "try:\n    x = 1\nexcept:\n    pass\n",
    "PLC0415": "def f() -> None:\n    import os\n    os.getcwd()\n",
    "PLR0913": "def f(a: int, b: int, c: int, d: int, e: int, f: int, g: int) -> None: ...\n",
    "C901": "def f(a: int) -> int:\n"
    + "".join(f"    if a == {i}:\n        return {i}\n" for i in range(9))
    + "    return a\n",
    "T201": "print('x')\n",
    "TID251": "import time\n\nx = time.time()\n",
    "DTZ005": "from datetime import datetime\n\nx = datetime.now()\n",
    "D100": "x = 1\n",
    "D103": "def public() -> None:\n    pass\n",
    "E501": "x = '" + "a" * 130 + "'\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources and their configuration."""
    copy = tmp_path_factory.mktemp("tree")
    for folder in ("libs", "services", "cli"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", copy / "pyproject.toml")
    return copy


def lint_imports(tree: Path) -> str:
    """Return what the linter of imports says of the copy."""
    path = ":".join(str(src) for src in sorted(tree.glob("*/*/src")) + sorted(tree.glob("*/src")))
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_each_import_contract_can_fail(tree: Path) -> None:
    """The clean tree keeps every contract; with a planted import for each, every one is broken."""
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in lint_imports(tree)
    for file, line in IMPORT_BREAKS.values():
        with (tree / file).open("a") as source:
            source.write(f"\n{line}\n")

    said = lint_imports(tree)

    assert {name for name in CONTRACTS if f"{name} BROKEN" not in " ".join(said.split())} == set()
    assert all(any(part in name for name in CONTRACTS) for part in IMPORT_BREAKS)
    assert len(IMPORT_BREAKS) == len(CONTRACTS)


@pytest.mark.parametrize("code", RUFF_BREAKS)
def test_each_ruff_rule_can_fail(code: str, tmp_path: Path) -> None:
    """A file that breaks one rule is refused with that rule's code."""
    (tmp_path / "planted.py").write_text(RUFF_BREAKS[code])

    done = subprocess.run(
        [BIN / "ruff", "check", "--no-cache", "--config", ROOT / "pyproject.toml", "planted.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert code in done.stdout


def test_mypy_refuses_an_untyped_function(tmp_path: Path) -> None:
    """`mypy --strict` is really on."""
    (tmp_path / "planted.py").write_text("def f(x):\n    return x\n")

    done = subprocess.run(
        [BIN / "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache", "planted.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "no-untyped-def" in done.stdout


def test_a_warning_fails_a_test(tmp_path: Path) -> None:
    """pytest turns warnings into errors."""
    (tmp_path / "test_planted.py").write_text("import warnings\n\ndef test_it():\n    warnings.warn('x')\n")

    done = subprocess.run(
        [BIN / "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "UserWarning: x" in done.stdout
