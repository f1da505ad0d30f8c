"""Print the kernels that batches compile after a start: `python -m tests.fakes.features.warmed`."""

import json
import sys
from itertools import count

from numba.core.registry import CPUDispatcher
from tests.fakes.features.deployment import CARD_SPEND, SHOP_TAKINGS, deployment

from millrace_common.records import Record
from millrace_common.topics import RAW_DATA
from millrace_features.core.warming import compile_kernels, run_through

BATCHES = (["payment"], ["payment"] * 150, ["payment", "visit"] * 20, ["payment"] * 3)


def specialisations() -> dict[str, int]:
    """Return how many specialisations each kernel has by now."""
    modules = [module for name, module in sys.modules.items() if name.startswith("millrace")]
    found = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, CPUDispatcher)}
    return {f"{one.py_func.__module__}.{one.py_func.__name__}": len(one.overloads) for one in found.values()}


def record(offset: int, type_: str) -> Record:
    """Return an event of one card."""
    fields = {"type": type_, "card": "c1", "ts": 1_700_000_000_000 + offset}
    if type_ == "payment":
        fields |= {"payment_id": f"p{offset}", "amount": 1.0, "merchant": "m"}
    return Record(RAW_DATA.name, 0, offset, b"c1", json.dumps(fields).encode(), (), 1_700_000_000_000_000 + offset)


def main() -> None:
    """Say what a start left to be compiled."""
    compile_kernels()
    before, numbers = specialisations(), count()
    run_through(
        deployment(CARD_SPEND, SHOP_TAKINGS), [[record(next(numbers), one) for one in types] for types in BATCHES]
    )
    compiled = [name for name, n in specialisations().items() if n > before.get(name, 0)]
    sys.stdout.write(json.dumps(compiled))


if __name__ == "__main__":
    main()
