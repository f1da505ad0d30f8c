"""`millrace topics` on a real Kafka."""

import json
from pathlib import Path

import pytest

from millrace_cli.__main__ import main

PIPELINE = "pipelines.fraud:PIPELINE"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, topic_prefix: str) -> None:
    """Point the command at the tests' Kafka, under a prefix of this test."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("MILLRACE_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("MILLRACE_PARTITIONS", "3")


@pytest.mark.usefixtures("environment")
def test_topics_are_created_once_and_listed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, topic_prefix: str
) -> None:
    """Data topics get MILLRACE_PARTITIONS, control topics one; a second creation changes nothing."""
    assert millrace(capsys, "topics", "create", PIPELINE, home=tmp_path).count("created ") >= 12
    assert millrace(capsys, "topics", "create", PIPELINE, home=tmp_path) == "all topics exist\n"
    listed = json.loads(millrace(capsys, "topics", "list", "--json", PIPELINE, home=tmp_path))
    partitions = {topic["name"].removeprefix(topic_prefix): topic["partitions"] for topic in listed}
    assert partitions["raw-data"] == partitions["features"] == partitions["predictions"] == 3
    assert partitions["promotions"] == partitions["model-candidates"] == partitions["raw-data.dlq"] == 1
    assert "for ever" in millrace(capsys, "topics", "list", PIPELINE, home=tmp_path)


def millrace(capsys: pytest.CaptureFixture[str], *words: str, home: Path) -> str:
    """Run a command line that succeeds, and return what it printed."""
    with pytest.raises(SystemExit) as ended:
        main([*words, "--home", str(home)])
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    return out
