"""What a run stood on: interpreter, machine and packages, as its record states them."""

import platform
from importlib.metadata import version

from millrace_common.ids import h

PACKAGES = (
    "lightgbm",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "protobuf",
    "pyarrow",
    "scikit-learn",
    "skl2onnx",
)


def environment() -> dict[str, str]:
    """Return names and versions; the same machine type with the same packages gives the same."""
    packages = {name: version(name) for name in PACKAGES}
    system = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    facts = {**system, **packages}
    return {**facts, "hash": h(*(f"{name}={facts[name]}" for name in sorted(facts)))}
