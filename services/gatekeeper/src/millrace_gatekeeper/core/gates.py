"""The gates by name, and what their verdicts come to."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from millrace.spec import GateSpec, Scalar
from millrace_common.messages import Reason
from millrace_common.messages.promotion import Verdict
from millrace_gatekeeper.core.evidence import Case
from millrace_gatekeeper.core.quality import floor, non_inferior, parity
from millrace_gatekeeper.core.structure import integrity, lineage, schema

Gate = Callable[[Case, Mapping[str, Scalar]], Verdict]

GATES: Mapping[str, Gate] = {
    "integrity": integrity,
    "lineage": lineage,
    "schema": schema,
    "parity": parity,
    "floor": floor,
    "non_inferior": non_inferior,
}


def examine(case: Case, gates: Sequence[GateSpec]) -> tuple[Verdict, ...]:
    """Return every gate's verdict in order. Integrity is always asked, first, and always blocks."""
    asked = next((gate for gate in gates if gate.name == "integrity"), GateSpec("integrity"))
    ordered = (GateSpec("integrity", asked.params), *(gate for gate in gates if gate.name != "integrity"))
    return tuple(
        msgspec.structs.replace(GATES[gate.name](case, gate.params), blocking=gate.blocking) for gate in ordered
    )


def decide(verdicts: Sequence[Verdict]) -> tuple[str, Reason]:
    """Return the state that a candidate goes to and why: one blocking failure rejects, one doubt leaves it open."""
    for verdict, state in (("fail", "rejected"), ("inconclusive", "inconclusive")):
        found = [one for one in verdicts if one.blocking and one.verdict == verdict]
        if found:
            text = "; ".join(f"{one.gate}: {one.why or verdict}" for one in found)
            return state, Reason(code=f"gate-{found[0].gate.replace('_', '-')}", text=text)
    return "champion", Reason(code="gates-passed", text=f"{len(verdicts)} gates asked, none against it")
