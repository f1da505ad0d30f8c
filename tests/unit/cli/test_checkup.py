"""What `doctor` says of a machine."""

import json
import socket
from pathlib import Path

import pytest

from millrace_cli import checkup, ports
from millrace_cli.__main__ import main
from millrace_cli.home import Home
from millrace_cli.settings import CliSettings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliSettings:
    """Settings of a machine with an empty cache and no clusters of its own."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return CliSettings()


def test_this_machine_can_run_the_platform(settings: CliSettings, tmp_path: Path) -> None:
    """Where the tests run, nothing is lacking; every check says what it found; looking creates nothing."""
    home = Home(tmp_path / "home")
    found = {finding.what: finding for finding in checkup.findings(home, settings)}
    assert [finding for finding in found.values() if finding.verdict == "lacking"] == []
    assert "Redis server" in found["Redis"].found
    assert "openjdk" in found["Java"].found
    assert found["Kafka"].verdict == "note"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_openmp_runtime_is_told_with_its_package(settings: CliSettings, tmp_path: Path) -> None:
    """Without libgomp LightGBM cannot be loaded: the package to install is named."""
    finding = checkup.libgomp(Home(tmp_path), settings, library="libgomp.so.0.no.such")
    assert finding.verdict == "lacking"
    assert "libgomp1" in finding.mend


def test_a_full_disk_is_told(settings: CliSettings, tmp_path: Path) -> None:
    """Less than what is needed is lacking, also for a folder that is not there yet."""
    assert checkup.disk(Home(tmp_path / "a" / "b"), settings, bytes_min=1).verdict == "ok"
    assert checkup.disk(Home(tmp_path / "a" / "b"), settings, bytes_min=1 << 62).verdict == "lacking"


def test_a_home_that_cannot_be_made_is_told(settings: CliSettings, tmp_path: Path) -> None:
    """A file in the place of the folder is found before anything starts."""
    (tmp_path / "file").touch()
    finding = checkup.home_folder(Home(tmp_path / "file" / "home"), settings)
    assert finding.verdict == "lacking"
    assert "--home" in finding.mend


def test_taken_ports_are_a_note(settings: CliSettings, tmp_path: Path) -> None:
    """They are named; `up` does not need them."""
    port = ports.SERVICES["monitor"]
    with socket.socket() as listener:
        if ports.is_free(port):
            listener.bind((ports.LOCALHOST, port))
            listener.listen()
        finding = checkup.free_ports(Home(tmp_path), settings)
    assert finding.verdict == "note"
    assert f"monitor {port}" in finding.found


def test_clusters_of_ones_own_need_no_java(
    monkeypatch: pytest.MonkeyPatch, settings: CliSettings, tmp_path: Path
) -> None:
    """With both addresses set, neither Java, nor jars, nor the Redis server are looked for."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("REDIS_URL", "redis://redis/0")
    findings = (check(Home(tmp_path), CliSettings()) for check in (checkup.java, checkup.kafka_jars, checkup.redis))
    assert [finding.verdict for finding in findings] == ["ok"] * 3


def test_doctor_prints_json_for_programs(
    settings: CliSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each finding with its verdict, what was found and the mend."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json", "--home", str(tmp_path)])
    assert ended.value.code == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"what", "verdict", "found", "mend"} == set(findings[0])
    assert len(findings) == len(checkup.CHECKS)
