"""Every gate, on artifacts that are good but for one thing."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.fakes.gatekeeper import MemoryArtifacts, World, artifact_files, candidate, deployment, linear

from millrace.spec import GateSpec
from millrace_common.errors import Refused
from millrace_common.messages import Candidate
from millrace_common.messages.candidate import Metric
from millrace_common.messages.promotion import Verdict
from millrace_gatekeeper.adapters import gate_files, onnx_graphs, onnx_scores
from millrace_gatekeeper.core.evidence import Case, Incumbent
from millrace_gatekeeper.core.gates import decide, examine

WORLD = World()
GOOD, BAD = (4.0, 0.0), (0.0, 4.0)
MODEL = deployment().models["toy"]


def case_of(files: dict[str, bytes], **changed: object) -> Case:
    """Return the case of a candidate with these files, as the real instruments see it."""
    made = candidate(MemoryArtifacts(), files)
    made = msgspec.structs.replace(made, **changed)
    graph = onnx_graphs.inspect(files["model.onnx"])
    rows = gate_files.read(files["gate.parquet"])
    scores = onnx_scores.score(files["model.onnx"], rows.features)
    return Case(made, MODEL, files, graph, rows, scores, None)


def verdict(case: Case, gate: str, **params: object) -> Verdict:
    """Return one gate's verdict."""
    spec = GateSpec(gate, params)  # type: ignore[arg-type]  # gates and limits by name
    return next(found for found in examine(case, (spec,)) if found.gate == gate)


@pytest.fixture(scope="module")
def good() -> Case:
    """A candidate without fault."""
    return case_of(artifact_files(GOOD, WORLD))


def against(case: Case, weights: tuple[float, float], *, learnt_until_us: int | None = None) -> Case:
    """Return the case with a champion of these weights."""
    assert case.rows is not None
    scores = onnx_scores.score(linear(*weights), case.rows.features)
    return replace(case, incumbent=Incumbent("1", 0.5, scores, learnt_until_us))


@pytest.mark.parametrize("gate", ["integrity", "lineage", "schema", "parity", "floor"])
def test_a_good_candidate_passes(good: Case, gate: str) -> None:
    """Nothing is held against an artifact that is whole, known and right."""
    assert verdict(good, gate).verdict == "pass", verdict(good, gate).why


@pytest.mark.parametrize(
    "name", ["model.onnx", "profile.json", "gate.parquet", "golden.json", "record.json", "README.md"]
)
def test_a_missing_file_is_named(good: Case, name: str) -> None:
    """Integrity asks for every file."""
    files = {other: data for other, data in good.files.items() if other != name}

    found = verdict(replace(good, files=files), "integrity")

    assert found.verdict == "fail"
    assert name in (found.why or "")


def test_a_file_that_is_not_what_the_candidate_states_fails(good: Case) -> None:
    """The message and the artifact must agree, file by file."""
    found = verdict(replace(good, files={**good.files, "golden.json": b"[]"}), "integrity")

    assert found.verdict == "fail"
    assert "golden.json" in (found.why or "")


def test_an_operator_that_is_not_on_the_list_fails() -> None:
    """A model may compute, but not draw random numbers."""
    graph = onnx_graphs.inspect(linear(1, 1, noise_op=True))
    case = replace(case_of(artifact_files(GOOD, WORLD)), graph=graph)

    assert "RandomNormalLike" in (verdict(case, "integrity").why or "")


def test_an_artifact_over_the_cap_fails(good: Case) -> None:
    """The limit is a parameter of the gate."""
    assert "the limit is 100" in (verdict(good, "integrity", bytes_max=100).why or "")


def test_integrity_is_always_asked_and_always_blocks(good: Case) -> None:
    """A pipeline cannot do without it: what cannot be read cannot serve."""
    found = examine(replace(good, problems=("unreadable",)), (GateSpec("integrity", blocking=False),))

    assert [(one.gate, one.verdict, one.blocking) for one in found] == [("integrity", "fail", True)]
    assert examine(good, ())[0].gate == "integrity"


@pytest.mark.parametrize("data", [b"", b"no model", linear(1, 1)[:-40], b"\x08\x07onnx"])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    """The checker's word is ours: Refused, never a crash."""
    with pytest.raises(Refused, match=r"model\.onnx"):
        onnx_graphs.inspect(data)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet"])
def test_bytes_that_are_no_gate_rows_are_refused(data: bytes) -> None:
    """As for the model."""
    with pytest.raises(Refused, match="gate-unreadable"):
        gate_files.read(data)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": None}, "does not say what it learnt from"),
        ({"record_digest": None}, "record.json"),
        ({"profile_digest": "sha256:" + "0" * 64}, "profile.json"),
    ],
)
def test_a_gap_in_the_lineage_is_named(changed: dict[str, object], said: str) -> None:
    """What cannot be traced does not serve."""
    found = verdict(case_of(artifact_files(GOOD, WORLD), **changed), "lineage")

    assert found.verdict == "fail"
    assert said in (found.why or "")


def test_a_view_that_this_deployment_does_not_know_fails(good: Case) -> None:
    """Models pin the view that they learnt from."""
    view = msgspec.structs.replace(good.candidate.view, hash="0" * 64)
    unknown = replace(good, candidate=msgspec.structs.replace(good.candidate, view=view))

    assert "is not the deployed one" in (verdict(unknown, "lineage").why or "")


def test_a_model_of_another_width_fails(good: Case) -> None:
    """The graph must take the deployed view's columns."""
    wide = replace(good, graph=onnx_graphs.inspect(linear(1, 1, width=3)))

    assert "[n, 3]" in (verdict(wide, "schema").why or "")


def test_other_columns_fail(good: Case) -> None:
    """Order counts: the same names in another order are other inputs."""
    turned = msgspec.structs.replace(good.candidate.view, columns=good.candidate.view.columns[::-1])
    case = replace(good, candidate=msgspec.structs.replace(good.candidate, view=turned))

    assert "takes b, a" in (verdict(case, "schema").why or "")


@pytest.mark.parametrize(("bias", "ruling"), [(0.0, "pass"), (2e-6, "pass"), (3e-5, "fail"), (0.3, "fail")])
def test_parity_holds_to_a_hundred_thousandth(bias: float, ruling: str) -> None:
    """The converted model must score as the native one did."""
    case = case_of(artifact_files(GOOD, WORLD, gate=WORLD.rows(GOOD, bias=bias)))

    assert verdict(case, "parity").verdict == ruling


def test_without_scores_nothing_of_quality_passes(good: Case) -> None:
    """A candidate that cannot be scored is not let in for want of evidence."""
    mute = against(replace(good, scores=None), GOOD)

    assert {verdict(mute, gate).verdict for gate in ("parity", "floor", "non_inferior")} == {"fail"}


def test_a_model_that_always_answers_the_majority_is_below_the_floor(good: Case) -> None:
    """To guess is not enough."""
    assert good.rows is not None
    constant = np.full(good.rows.n, float(good.rows.labels.mean() >= 0.5))

    assert verdict(replace(good, scores=constant), "floor").verdict == "fail"


def test_the_floor_is_inconclusive_near_it_and_says_how_many_rows_would_do(good: Case) -> None:
    """Three verdicts: a floor at the very accuracy is neither held nor missed."""
    value = verdict(good, "floor").value

    found = verdict(good, "floor", at_least=value)

    assert found.verdict == "inconclusive"
    assert verdict(good, "floor", at_least=(value or 0) + 0.2).verdict == "fail"
    assert verdict(good, "floor", metric="auc", at_least=0.6).verdict == "pass"
    near = verdict(good, "floor", at_least=(value or 0) - 0.005)
    assert near.verdict == "inconclusive"
    assert (near.n_needed or 0) > WORLD.n


def test_an_undecided_floor_does_not_keep_a_champion_that_is_no_better(good: Case) -> None:
    """What serves is not surely above it either: the comparison of the two decides, not the floor."""
    near = (verdict(good, "floor").value or 0) - 0.005

    assert verdict(against(good, BAD), "floor", at_least=near).verdict == "skipped"
    assert verdict(against(good, GOOD), "floor", at_least=near - 0.002).verdict == "skipped"
    assert verdict(against(good, BAD), "floor", at_least=near + 0.2).verdict == "fail"
    assert verdict(good, "floor", at_least=near).verdict == "inconclusive"


def test_the_majority_is_that_of_the_rows_fitted(good: Case) -> None:
    """A guess must be made before the gate rows are seen."""
    rare = Metric(value=0.1, n=100)
    told = msgspec.structs.replace(good.candidate, metrics={"fit": {"positive": rare}})
    assert good.rows is not None

    found = verdict(replace(good, candidate=told), "floor")

    assert found.limit == pytest.approx(1 - good.rows.labels.mean())


def test_of_two_floors_the_harder_counts(good: Case) -> None:
    """`at_least` and `above_majority` together ask for both."""
    assert verdict(good, "floor", at_least=0.99, above_majority=True).verdict == "fail"
    assert verdict(good, "floor", at_least=0.01, above_majority=True).limit == pytest.approx(0.5, abs=0.1)


def test_the_first_model_of_a_name_is_compared_with_nothing(good: Case) -> None:
    """Skipped, with the reason."""
    found = verdict(good, "non_inferior")

    assert (found.verdict, found.why) == ("skipped", "no champion")


def test_a_better_candidate_replaces_a_champion_that_the_world_has_left_behind(good: Case) -> None:
    """After a real change the stale champion goes, even on few rows."""
    few = case_of(artifact_files(GOOD, World(n=60)))

    assert verdict(against(good, BAD), "non_inferior").verdict == "pass"
    assert verdict(against(few, BAD), "non_inferior").verdict == "pass"


def test_a_worse_candidate_fails(good: Case) -> None:
    """The champion keeps its place, with the numbers on record."""
    worse = case_of(artifact_files(BAD, WORLD))

    found = verdict(against(worse, GOOD), "non_inferior")

    assert found.verdict == "fail"
    assert found.limit == -0.01
    assert "auc" in (found.why or "")
    assert "accuracy" in (found.why or "")


def test_the_same_model_again_passes(good: Case) -> None:
    """It differs by nothing, for sure."""
    assert verdict(against(good, GOOD), "non_inferior").verdict == "pass"


def test_rows_that_may_have_taught_the_champion_do_not_count(good: Case) -> None:
    """Too few others leave it open."""
    until_us = WORLD.start_us + 580 * 600_000_000

    found = verdict(against(good, BAD, learnt_until_us=until_us), "non_inferior")

    assert (found.verdict, found.n, found.n_needed) == ("inconclusive", 19, 30)


def test_gate_rows_of_one_class_are_compared_by_accuracy(good: Case) -> None:
    """There is no AUC then; with `metric` auc the gate says so."""
    assert good.rows is not None
    case = against(replace(good, rows=replace(good.rows, labels=np.ones(good.rows.n, bool))), BAD)

    assert "auc" not in (verdict(case, "non_inferior").why or "auc")
    assert verdict(case, "non_inferior", metric="auc").verdict == "inconclusive"


def test_a_warning_gate_does_not_block(good: Case) -> None:
    """Its verdict is recorded, and the candidate goes on."""
    specs = (GateSpec("floor", {"at_least": 0.999}, blocking=False),)

    state, reason = decide(examine(good, specs))

    assert (state, reason.code) == ("champion", "gates-passed")


@pytest.mark.parametrize(
    ("verdicts", "state", "code"),
    [
        (("pass", "fail", "inconclusive"), "rejected", "gate-floor"),
        (("pass", "inconclusive", "pass"), "inconclusive", "gate-floor"),
        (("pass", "skipped", "pass"), "champion", "gates-passed"),
    ],
)
def test_one_failure_rejects_and_one_doubt_leaves_open(verdicts: tuple[str, ...], state: str, code: str) -> None:
    """A failure weighs more than a doubt."""
    gates = ("parity", "floor", "non_inferior")
    found = [Verdict(gate=g, verdict=v, blocking=True) for g, v in zip(gates, verdicts, strict=True)]  # type: ignore[arg-type]  # literals

    decided, reason = decide(found)

    assert (decided, reason.code) == (state, code)


def test_a_candidate_names_its_kind() -> None:
    """The fake is a real message: it survives its own codec."""
    made = candidate(MemoryArtifacts(), artifact_files(GOOD, WORLD))

    assert msgspec.json.decode(msgspec.json.encode(made), type=Candidate) == made
