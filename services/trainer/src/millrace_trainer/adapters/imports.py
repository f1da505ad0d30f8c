"""Models from elsewhere: fetched, checked against the view they would serve, put into the artifact store."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from fsspec.core import url_to_fs

from millrace_common.artifacts import ArtifactStore
from millrace_common.errors import Refused
from millrace_trainer.adapters.onnx_model import BYTES_MAX, OnnxModel
from millrace_trainer.core.task import Given

SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Imports:
    """Takes models in."""

    store: ArtifactStore

    async def fetch(self, uri: str) -> bytes:
        """Return the file at a path or URI; raises Refused (`import-unreadable`).

        Only local files and the artifact store's own scheme are read: the trainer is nobody's proxy.
        """
        allowed = {"", "file", urlsplit(self.store.url).scheme}
        if urlsplit(uri).scheme not in allowed:
            raise Refused("import-unreadable", f"{uri}: one of {sorted(allowed)} is read", field="uri")
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await asyncio.to_thread(_read, uri)
        except (OSError, ValueError) as error:
            raise Refused("import-unreadable", f"{uri}: {error}", field="uri") from error

    async def take(self, data: bytes, *, columns: int) -> Given:
        """Check a model and store it; raises Refused (`onnx-unreadable`, `onnx-contract`)."""
        OnnxModel.load(data, columns=columns)
        artifact = await self.store.put({"model.onnx": data})
        return Given(uri=artifact.uri, digest=artifact.digest)


def _read(uri: str) -> bytes:
    fs, path = url_to_fs(uri)
    if fs.size(path) > BYTES_MAX:
        raise ValueError(f"larger than {BYTES_MAX} bytes")
    return bytes(fs.cat_file(path))
