"""The jars of the embedded Kafka: only those listed, only with their digests."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from millrace_cli.platform import jars
from millrace_cli.platform.jars import Jar
from millrace_cli.ports import LOCALHOST
from millrace_common.errors import Misconfigured, Unavailable

CONTENT = b"a jar"
JAR = Jar("tiny-1.0.jar", "org.example:tiny:1.0", "sha256:" + hashlib.sha256(CONTENT).hexdigest())


PATH = f"/org/example/tiny/1.0/{JAR.name}"


@contextmanager
def repository(content: bytes | None) -> Iterator[Callable[[], dict[str, str]]]:
    """Serve a repository whose only content, if any, is the tiny jar with these bytes."""

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = content is not None and self.path == PATH
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content or b"") if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer((LOCALHOST, 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield lambda: {"tiny": f"http://{LOCALHOST}:{server.server_address[1]}"}
        finally:
            server.shutdown()
            thread.join()


def unreachable() -> dict[str, str]:
    """Fail the test: a jar that is there needs no repository."""
    pytest.fail("asked for a repository")


def test_the_list_holds_one_pinned_kafka_and_full_digests() -> None:
    """Each line is a file, a coordinate with that version, and a SHA-256; no file is listed twice."""
    listed = jars.listed()
    assert len({jar.name for jar in listed}) == len(listed) == 46
    assert all(len(bytes.fromhex(jar.digest.removeprefix("sha256:"))) == 32 for jar in listed)
    assert all(jar.coordinate.count(":") == 2 and jar.coordinate.split(":")[2] in jar.name for jar in listed)
    assert {jar.coordinate.split(":")[2] for jar in listed if jar.coordinate.startswith("org.apache.kafka:")} == {
        "4.1.1"
    }


def test_a_jar_with_other_bytes_is_missing(tmp_path: Path) -> None:
    """What lies in the cache counts by its digest, not by its name."""
    assert jars.missing((JAR,), tmp_path) == (JAR,)
    JAR.path(tmp_path).parent.mkdir(parents=True)
    JAR.path(tmp_path).write_bytes(CONTENT)
    assert jars.missing((JAR,), tmp_path) == ()
    JAR.path(tmp_path).write_bytes(CONTENT + b" with more")
    assert jars.missing((JAR,), tmp_path) == (JAR,)
    assert jars.missing((replace(JAR, digest="sha256:" + "0" * 64),), tmp_path) != ()


def test_a_jar_with_the_listed_digest_is_fetched_once(tmp_path: Path) -> None:
    """It comes to its place in the cache, and the next start needs no repository."""
    with repository(CONTENT) as sources:
        assert jars.fetch((JAR,), tmp_path, sources=sources) == (JAR.path(tmp_path),)
    assert JAR.path(tmp_path).read_bytes() == CONTENT
    assert jars.fetch((JAR,), tmp_path, sources=unreachable) == (JAR.path(tmp_path),)


def test_a_jar_with_another_digest_is_refused(tmp_path: Path) -> None:
    """Other bytes under the right name never get to the class path, nor stay in the cache."""
    with repository(CONTENT + b" with more") as sources, pytest.raises(Misconfigured, match=r"tiny-1\.0\.jar.*digest"):
        jars.fetch((JAR,), tmp_path, sources=sources)
    assert list(tmp_path.rglob("*.jar")) == []


def test_a_damaged_jar_in_the_cache_is_fetched_anew(tmp_path: Path) -> None:
    """A file cut short by a full disk is replaced."""
    JAR.path(tmp_path).parent.mkdir(parents=True)
    JAR.path(tmp_path).write_bytes(CONTENT[:2])
    with repository(CONTENT) as sources:
        jars.fetch((JAR,), tmp_path, sources=sources)
    assert JAR.path(tmp_path).read_bytes() == CONTENT


def test_a_repository_without_the_jar_is_told_by_its_coordinate(tmp_path: Path) -> None:
    """No network, or no such file: the message says what was wanted."""
    with repository(None) as sources, pytest.raises(Unavailable, match=r"cannot download org\.example:tiny:1\.0"):
        jars.fetch((JAR,), tmp_path, sources=sources)
