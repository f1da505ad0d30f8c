"""From `module:ATTRIBUTE` or `path/file.py:ATTRIBUTE` to one checked deployment."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from millrace.checks.draft import Draft
from millrace.checks.pipelines import pipeline_spec
from millrace.hashing import content_hash
from millrace.mistakes import BROKEN, Mistake, PipelineMistakes
from millrace.models import Pipeline
from millrace.places import Place
from millrace.spec import Deployment, EventSpec, GroupSpec, LabelSpec, PipelineSpec

__all__ = ["Mistake", "PipelineMistakes", "load"]

Spec = TypeVar("Spec")
ATTRIBUTE = "PIPELINE"


def load(specs: Sequence[str]) -> Deployment:
    """Return the deployment of the pipelines that `specs` name, `module:NAME` or `path.py:NAME` (`PIPELINE` if absent).

    The working directory, or the file's folder, comes first on the import path. Raises PipelineMistakes.
    """
    draft = Draft()
    if not specs:
        draft.mistake(Place("MILLRACE_PIPELINES", 0), "no pipeline is named", mend="name one: path/file.py:PIPELINE")
    found = [pipeline for spec in specs for pipeline in _pipeline(spec.strip(), draft)]
    checked = {pipeline: pipeline_spec(pipeline, draft) for pipeline in dict.fromkeys(found)}
    deployment = _merged(checked, draft)
    if draft.mistakes:
        raise PipelineMistakes(draft.mistakes)
    return deployment


def _pipeline(spec: str, draft: Draft) -> list[Pipeline]:
    name, _, attribute = spec.partition(":")
    module = _from_path(name, draft) if name.endswith(".py") else _from_module(name, draft)
    if module is None:
        return []
    file = module.__file__ or name
    pipeline = getattr(module, attribute or ATTRIBUTE, None)
    if isinstance(pipeline, Pipeline):
        return [pipeline]
    has = [one for one, value in vars(module).items() if isinstance(value, Pipeline)]
    mend = f"name one of {', '.join(has)}" if has else f'end the file with {ATTRIBUTE} = Pipeline("name", model=...)'
    draft.mistake(Place(file, 1), f"`{attribute or ATTRIBUTE}` is no pipeline of this file", mend=mend)
    return []


def _from_module(name: str, draft: Draft) -> ModuleType | None:
    _first_on_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except BROKEN as error:
        _told(error, name, draft)
        return None


def _from_path(name: str, draft: Draft) -> ModuleType | None:
    """Run a file as a new module: reloading takes what the file says now, and no bytecode is written beside it.

    It stands among the imported modules under its own name, unless a library does, so that its classes can be found.
    """
    path = Path(name).resolve()
    _first_on_path(path.parent)
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    before = sys.modules.get(path.stem)
    if before is None or before.__spec__ is None:
        sys.modules[path.stem] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except BROKEN as error:
        _told(error, str(path), draft)
        return None
    return module


def _first_on_path(folder: Path) -> None:
    text = str(folder)
    if text in sys.path:
        sys.path.remove(text)
    sys.path.insert(0, text)
    importlib.invalidate_caches()


def _told(error: BaseException, file: str, draft: Draft) -> None:
    """Note an error of the file itself, at the file's own innermost line."""
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        draft.mistake(Place(error.filename, error.lineno or 0), f"{error.msg}", mend="make it Python")
        return
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    place = Place(lines[-1].filename, lines[-1].lineno or 0) if lines else Place(file, 0)
    absent = isinstance(error, FileNotFoundError | ModuleNotFoundError) and not lines
    mend = "give a module or a file that is there: path/file.py:PIPELINE" if absent else "mend this line"
    draft.mistake(place, what, mend=mend)


def _is_machinery(file: str) -> bool:
    path = Path(file)
    ours = Path(__file__).parent
    return file.startswith("<frozen ") or "importlib" in path.parts or ours in path.parents or "pathlib" in file


def _merged(checked: Mapping[Pipeline, PipelineSpec | None], draft: Draft) -> Deployment:
    """Return what several pipelines come to together; parts of one name must be the same."""
    pipelines = {pipeline: spec for pipeline, spec in checked.items() if spec is not None}
    events = _shared(_events(draft), _same_contract, "event type", draft)
    groups = _shared(_groups(draft), _same, "group", draft)
    labels = _shared(_labels(draft), _same, "label", draft)
    _unique(((spec.name, pipeline.place) for pipeline, spec in pipelines.items()), "pipelines", draft)
    _unique(((spec.model.name, pipeline.model.place) for pipeline, spec in pipelines.items()), "models", draft)
    by_name = {spec.name: spec for spec in sorted(pipelines.values(), key=lambda spec: spec.name)}
    return Deployment(events, groups, labels, by_name, content_hash(events, groups, labels, by_name))


def _events(draft: Draft) -> Iterable[tuple[str, EventSpec, Place]]:
    return ((spec.type, spec, event.__declared__.place) for event, spec in draft.events.items() if spec)


def _groups(draft: Draft) -> Iterable[tuple[str, GroupSpec, Place]]:
    return ((spec.name, spec, group.__declared__.place) for group, spec in draft.groups.items() if spec)


def _labels(draft: Draft) -> Iterable[tuple[str, LabelSpec, Place]]:
    return ((spec.name, spec, label.place) for label, spec in draft.labels.items() if spec)


def _same(first: object, second: object) -> bool:
    return first == second


def _same_contract(first: EventSpec, second: EventSpec) -> bool:
    return first == replace(second, class_name=first.class_name)


def _shared(
    parts: Iterable[tuple[str, Spec, Place]], same: Callable[[Spec, Spec], bool], kind: str, draft: Draft
) -> dict[str, Spec]:
    first: dict[str, tuple[Spec, Place]] = {}
    for name, spec, place in parts:
        known, where = first.setdefault(name, (spec, place))
        if not same(known, spec):
            mend = "import one declaration from a module that both files share, or rename one"
            draft.mistake(place, f"the {kind} {name} is declared otherwise at {where}", mend=mend)
    return {name: first[name][0] for name in sorted(first)}


def _unique(names: Iterable[tuple[str, Place]], kind: str, draft: Draft) -> None:
    first: dict[str, Place] = {}
    for name, place in names:
        if first.setdefault(name, place) is not place:
            draft.mistake(place, f"two {kind} are named {name}; the first is at {first[name]}", mend="rename one")
