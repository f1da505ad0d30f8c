"""The artifact store names folders by what they hold and hands out nothing else."""

from pathlib import Path

import pytest

from millrace_common.artifacts import ArtifactStore
from millrace_common.errors import Misconfigured, Refused

FILES = {"model.onnx": b"\x08\x07onnx", "record.json": b'{"a":1}'}


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """Return a fresh store on each kind of file system."""
    url = tmp_path.as_uri() if request.param == "file" else f"memory:/{tmp_path}"
    return ArtifactStore.open(url)


async def test_what_was_put_is_got(store: ArtifactStore) -> None:
    """Files come back byte for byte, with their sizes and digests in the facts."""
    artifact = await store.put(FILES)
    assert await store.get(artifact.uri, artifact.digest) == FILES
    assert artifact.size_bytes == sum(map(len, FILES.values()))
    assert set(artifact.files) == set(FILES)
    assert artifact.uri.endswith(f"sha256/{artifact.digest[7:9]}/{artifact.digest[7:]}")


async def test_the_same_files_are_the_same_artifact(store: ArtifactStore) -> None:
    """A second put changes nothing and names the same place."""
    first = await store.put(FILES)
    assert await store.put(dict(reversed(FILES.items()))) == first


async def test_other_names_are_another_artifact(store: ArtifactStore) -> None:
    """The digest covers names as well as contents."""
    first = await store.put({"a": b"1"})
    assert (await store.put({"b": b"1"})).digest != first.digest


async def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    """A file that was changed, added or removed is corrupt, and a new put mends a changed one."""
    store = ArtifactStore.open(tmp_path.as_uri())
    artifact = await store.put(FILES)
    folder = tmp_path / artifact.uri.removeprefix(tmp_path.as_uri() + "/")
    (folder / "model.onnx").write_bytes(b"\x08\x07onnX")
    with pytest.raises(Refused, match="artifact-corrupt"):
        await store.get(artifact.uri, artifact.digest)
    await store.put(FILES)
    assert await store.get(artifact.uri, artifact.digest) == FILES
    (folder / "extra").write_bytes(b"")
    with pytest.raises(Refused, match="artifact-corrupt"):
        await store.get(artifact.uri, artifact.digest)


async def test_an_absent_artifact_is_refused(store: ArtifactStore) -> None:
    """A digest that nobody stored, or that is none, is refused and says where it was looked for."""
    artifact = await store.put(FILES)
    with pytest.raises(Refused, match="artifact-corrupt"):
        await store.get(artifact.uri + "x", "sha256:" + "0" * 64)
    with pytest.raises(Refused, match="not a digest"):
        await store.get(artifact.uri, "sha256:../../etc")


@pytest.mark.parametrize("uri", ["nowhere://models/1", "smb://host/models/1", "{folder}/file", "{folder}"])
async def test_what_is_no_folder_of_files_is_refused(tmp_path: Path, uri: str) -> None:
    """A scheme that nothing here reads, a file, a folder of folders: the artifact is at fault, and no process ends."""
    store = ArtifactStore.open((tmp_path / "store").as_uri())
    (tmp_path / "other" / "folder").mkdir(parents=True)
    (tmp_path / "other" / "file").touch()
    with pytest.raises(Refused, match="artifact-corrupt"):
        await store.get(uri.format(folder=(tmp_path / "other").as_uri()), "sha256:" + "0" * 64)


async def test_a_moved_store_still_finds_its_artifacts(tmp_path: Path) -> None:
    """The digest is the identity: an old uri does no harm after the folder moved."""
    artifact = await ArtifactStore.open((tmp_path / "a").as_uri()).put(FILES)
    (tmp_path / "a").rename(tmp_path / "b")
    assert await ArtifactStore.open((tmp_path / "b").as_uri()).get(artifact.uri, artifact.digest) == FILES


async def test_file_names_stay_in_the_folder(store: ArtifactStore) -> None:
    """A name with a path in it is a mistake of the caller."""
    with pytest.raises(ValueError, match="plain file name"):
        await store.put({"../x": b""})


def test_an_unknown_scheme_is_misconfigured() -> None:
    """The error names the setting."""
    with pytest.raises(Misconfigured, match="MILLRACE_ARTIFACTS_URL"):
        ArtifactStore.open("nosuch://x")
