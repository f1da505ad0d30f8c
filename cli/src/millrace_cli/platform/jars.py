"""The jars of the embedded Kafka: those that this package lists, fetched once, each held against its digest."""

import fcntl
import hashlib
import importlib.resources
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext
from requests import RequestException

from millrace_common.errors import Misconfigured, Unavailable

DOWNLOADS_MAX = 8
TRIES_MAX = 3
READ_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar: its file name, its Maven coordinate and the digest that it must have."""

    name: str
    coordinate: str
    digest: str

    def path(self, cache: Path) -> Path:
        """Return where a cache keeps it."""
        return cache / "jars" / self.digest.removeprefix("sha256:")[:16] / self.name


def listed() -> tuple[Jar, ...]:
    """Return the jars that make up the embedded Kafka."""
    text = importlib.resources.files(__package__).joinpath("kafka_jars.txt").read_text()
    return tuple(Jar(*line.split()) for line in text.splitlines() if not line.startswith("#"))


def missing(jars: tuple[Jar, ...], cache: Path) -> tuple[Jar, ...]:
    """Return the jars that are not in the cache, or there with other bytes."""
    return tuple(jar for jar in jars if not is_intact(jar.path(cache), jar.digest))


def is_intact(path: Path, digest: str) -> bool:
    """Say whether the file is there with that digest."""
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest
    except FileNotFoundError:
        return False


def repositories() -> dict[str, str]:
    """Return where jars come from: Maven Central, and what the user's own configuration of jgo puts in its place."""
    return {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}


def fetch(
    jars: tuple[Jar, ...], cache: Path, *, sources: Callable[[], Mapping[str, str]] = repositories
) -> tuple[Path, ...]:
    """Return the paths of the jars, downloading from `sources` what the cache lacks.

    Raises Unavailable when a repository gives no answer, Misconfigured when it answers with other bytes.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "jars.lock"):
        absent = missing(jars, cache)
        if absent:
            maven = MavenContext(repo_cache=cache / "maven", remote_repos=dict(sources()), timeout=READ_SECONDS_MAX)
            with ThreadPoolExecutor(DOWNLOADS_MAX) as pool:
                for _ in pool.map(lambda jar: _download(jar, cache, maven), absent):
                    pass
    return tuple(jar.path(cache) for jar in jars)


def _download(jar: Jar, cache: Path, maven: MavenContext) -> None:
    """Fetch one jar to its place in the cache; a file with other bytes never gets there."""
    artifact = maven.create_dependency(jar.coordinate).artifact
    leftover = maven.repo_cache / artifact.component.path_prefix / artifact.filename
    for last in (False,) * (TRIES_MAX - 1) + (True,):
        leftover.unlink(missing_ok=True)
        try:
            found = artifact.resolve()
        except (RequestException, RuntimeError, OSError) as error:
            if last:
                raise Unavailable(f"cannot download {jar.coordinate}: {error}") from error
            continue
        if is_intact(found, jar.digest):
            jar.path(cache).parent.mkdir(parents=True, exist_ok=True)
            found.replace(jar.path(cache))
            return
    leftover.unlink(missing_ok=True)
    raise Misconfigured(f"{jar.name} as downloaded is not the file that was checked: its digest is not {jar.digest}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock against other processes that fill the same cache."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
