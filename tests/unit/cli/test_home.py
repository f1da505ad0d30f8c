"""The home folder's files and its one owner."""

import json
import os
from pathlib import Path

import pytest

from millrace_cli.home import FORMAT, Endpoints, Home, ProcessStatus, Status
from millrace_common.errors import Misconfigured

ENDPOINTS = Endpoints("k:1", "redis://r:2/0", {"ingest": "http://i"}, {"kafka": 1}, ("a:B",), "p.")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """endpoints.json and status.json hold all that was written, and no partial file stays."""
    home = Home(tmp_path)
    status = Status("ready", 7, 8, (ProcessStatus("kafka", "ready", 9, 10),))
    home.write(ENDPOINTS)
    home.write(status)
    assert home.endpoints() == ENDPOINTS
    assert home.status() == status
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoints.json", "status.json"]


def test_a_folder_that_was_never_up_has_no_endpoints(tmp_path: Path) -> None:
    """Reading creates nothing."""
    home = Home(tmp_path / "never")
    assert home.endpoints() is None
    assert home.status() is None
    assert home.supervisor() is None
    assert not home.folder.exists()


def test_a_newer_format_is_refused_and_named(tmp_path: Path) -> None:
    """A folder of a later version is not touched, even where its fields changed."""
    (tmp_path / "endpoints.json").write_text(json.dumps({"format": FORMAT + 1, "elsewhere": []}))
    with pytest.raises(Misconfigured, match=f"format {FORMAT + 1}.*upgrade"):
        Home(tmp_path).endpoints()


def test_a_file_that_cannot_be_read_is_named_with_the_mend(tmp_path: Path) -> None:
    """A damaged file is told by its path."""
    (tmp_path / "status.json").write_text("{")
    with pytest.raises(Misconfigured, match=r"status\.json cannot be read.*remove it"):
        Home(tmp_path).status()


def test_a_held_home_has_one_owner(tmp_path: Path) -> None:
    """While it is held, its supervisor is known and another is refused; afterwards it is free."""
    home = Home(tmp_path / "new")
    with home.held():
        assert home.supervisor() == os.getpid()
        with pytest.raises(Misconfigured, match="already up"), Home(home.folder).held():
            pass
        with pytest.raises(Misconfigured, match="already up"):
            home.refuse_second()
    assert home.supervisor() is None
    with home.held():
        assert home.supervisor() == os.getpid()


def test_a_number_left_by_a_killed_supervisor_does_not_count(tmp_path: Path) -> None:
    """The lock tells who lives: a stale supervisor.pid with the number of a living process is nobody's."""
    (tmp_path / "supervisor.pid").write_text(str(os.getpid()))
    (tmp_path / "supervisor.lock").touch()
    assert Home(tmp_path).supervisor() is None
