"""The artifact store: folders of files named by what they hold, on any file system that fsspec knows."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256 as _sha256
from typing import Any, TypeVar

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from millrace_common.errors import Misconfigured, Refused, Unavailable
from millrace_common.ids import sha256
from millrace_common.messages.candidate import Artifact, FileFacts

SECONDS_MAX = 60.0

T = TypeVar("T")
_NO_ARTIFACT = (ValueError, ImportError, IsADirectoryError, NotADirectoryError)
"""What a URI gives that is none, whose scheme nothing here can read, or behind which there is no folder of files."""


def manifest(files: Mapping[str, bytes]) -> dict[str, FileFacts]:
    """Return the digest and size of each file, by name."""
    return {name: FileFacts(digest=sha256(files[name]), size_bytes=len(files[name])) for name in sorted(files)}


def digest_of(facts: Mapping[str, FileFacts]) -> str:
    """Return the digest of a folder, over the sorted names and digests of its files.

    >>> digest_of(manifest({"a": b"1", "b": b"2"})) == digest_of(manifest({"b": b"2", "a": b"1"}))
    True
    """
    lines = "".join(f"{name}\n{facts[name].digest}\n" for name in sorted(facts))
    return sha256(lines.encode())


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Immutable folders at `<url>/sha256/<first two>/<digest>/`.

    `write` and `read` block and serve a job in its own process; `put` and `get` are for a service's loop.
    """

    url: str
    _fs: Any
    _root: str

    @classmethod
    def open(cls, url: str) -> "ArtifactStore":
        """Return the store at `url` (`file://`, `memory://`, `s3://`, ...); nothing is written yet.

        Raises Misconfigured where no driver for the scheme is installed.
        """
        try:
            fs, root = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise Misconfigured(f"MILLRACE_ARTIFACTS_URL {url!r}: {error}") from error
        return cls(url.rstrip("/"), fs, root.rstrip("/"))

    async def put(self, files: Mapping[str, bytes]) -> Artifact:
        """Store a folder unless it is there already, and return its facts; raises Unavailable."""
        return await self._off_loop(lambda: self.write(files))

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the verified files of an artifact; raises Refused (`artifact-corrupt`) or Unavailable."""
        return await self._off_loop(lambda: self.read(uri, digest))

    def write(self, files: Mapping[str, bytes]) -> Artifact:
        """Store a folder unless it is there already, and return its facts; raises Unavailable.

        Each file is written beside its place and renamed into it. A folder counts only once somebody names its digest,
        which is after this returns.
        """
        for name in files:
            if name in ("", ".", "..") or "/" in name or "\\" in name:
                raise ValueError(f"not a plain file name: {name!r}")
        facts = manifest(files)
        digest = digest_of(facts)
        place = _place(digest)
        try:
            self._fs.makedirs(f"{self._root}/{place}", exist_ok=True)
            for name, data in files.items():
                self._write_file(f"{self._root}/{place}/{name}", data)
        except OSError as error:
            raise Unavailable(f"artifact store {self.url}: {error}") from error
        size = sum(fact.size_bytes for fact in facts.values())
        return Artifact(uri=f"{self.url}/{place}", digest=digest, size_bytes=size, files=facts)

    def read(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the verified files of an artifact; raises Refused (`artifact-corrupt`) or Unavailable.

        The digest is the identity: this store's own place for it is read first, `uri` where it is not there.
        """
        try:
            files = self._folder(uri, digest)
        except FileNotFoundError as error:
            raise Refused("artifact-corrupt", f"{uri} is not there: {error}") from error
        except _NO_ARTIFACT as error:
            raise Refused("artifact-corrupt", f"{uri}: {error}") from error
        except OSError as error:
            raise Unavailable(f"artifact {uri}: {error}") from error
        found = digest_of(manifest(files))
        if found != digest:
            raise Refused("artifact-corrupt", f"{uri} has digest {found}, not {digest}")
        return files

    def _folder(self, uri: str, digest: str) -> dict[str, bytes]:
        fs, folder = self._fs, f"{self._root}/{_place(digest)}"
        if not fs.isdir(folder):
            fs, folder = url_to_fs(uri)
        paths = [path for path in fs.ls(folder, detail=False) if not path.endswith(".tmp")]
        return {path.rsplit("/", 1)[-1]: bytes(fs.cat_file(path)) for path in sorted(paths)}

    def _write_file(self, path: str, data: bytes) -> None:
        if self._fs.exists(path) and self._fs.cat_file(path) == data:
            return
        beside = f"{path}.{os.getpid()}.tmp"
        with self._fs.open(beside, "wb") as file:
            file.write(data)
            if isinstance(self._fs, LocalFileSystem):
                file.flush()
                os.fsync(file.fileno())
        self._fs.mv(beside, path)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if isinstance(self._fs, LocalFileSystem | MemoryFileSystem):
            return work()
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await asyncio.to_thread(work)
        except TimeoutError as error:
            raise Unavailable(f"artifact store {self.url}: no answer in {SECONDS_MAX:g} s") from error


def _place(digest: str) -> str:
    kind, _, hexadecimal = digest.partition(":")
    if kind != "sha256" or len(hexadecimal) != _sha256().digest_size * 2 or not hexadecimal.isalnum():
        raise ValueError(f"not a digest: {digest!r}")
    return f"sha256/{hexadecimal[:2]}/{hexadecimal}"
