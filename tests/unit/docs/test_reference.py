"""The pages say what the code says."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from millrace_cli.reference import generate
from millrace_cli.reference.asyncapi import document
from millrace_common.codec import encode_value
from millrace_common.messages import Position
from millrace_common.messages.feature_row import FeatureRow

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
WRITTEN_BY_HAND = {"bad-input.md"}


@pytest.mark.parametrize("page", generate())
def test_a_reference_page_is_what_the_code_generates(page: str) -> None:
    """`make docs` would change nothing."""
    assert (REFERENCE / page).read_text() == generate()[page]


def test_no_page_outlives_its_subject() -> None:
    """Each file under docs/reference is generated, or written by hand on purpose."""
    found = {str(path.relative_to(REFERENCE)) for path in REFERENCE.rglob("*") if path.is_file()}

    assert found == set(generate()) | WRITTEN_BY_HAND


def test_a_message_keeps_its_published_schema() -> None:
    """A feature row validates against its JSON Schema, and not with a field of the wrong type."""
    row = FeatureRow(
        row_id="r",
        event_type="transaction",
        event_id="t1",
        entity_type="card",
        entity_id="4929",
        spine=True,
        event_time_us=1,
        append_time_us=2,
        source=Position(topic="raw-data", partition=0, offset=3),
        groups={"CardSpend@01234567": {"n_1h": 2, "mean_1h": None}},
    )
    schema = json.loads((REFERENCE / "schemas" / "millrace.feature_row.v1.json").read_text())
    value = json.loads(encode_value(row))

    jsonschema.validate(value, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**value, "event_time_us": "soon"}, schema)


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    """No `$ref` points at nothing."""
    content = json.loads(document())

    for reference in re.findall(r'"\$ref": "#/([^"]+)"', document()):
        found = content
        for part in reference.split("/"):
            found = found[part]


def test_the_readme_shows_the_pipeline_that_ships() -> None:
    """The code block of the README is a part of pipelines/fraud.py, letter by letter, and its links lead somewhere."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)

    assert blocks
    assert blocks[0].rstrip(")\n") in (ROOT / "pipelines" / "fraud.py").read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / link).exists()
