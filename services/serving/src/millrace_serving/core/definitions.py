"""What the deployment says of a model, compiled for serving: its view, its feature groups, the fields it takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from millrace.spec import Deployment, EventSpec, Expr, FieldRef, FieldSpec, GroupSpec, ModelSpec, Op
from millrace_common.errors import Refused
from millrace_common.topics import feeding
from millrace_engine.events import Contract, compile_events
from millrace_engine.groups import GroupReader, compile_group
from millrace_engine.views import View, compile_view


@dataclass(frozen=True, slots=True)
class Need:
    """A feature group that a view takes, and the topic that feeds it."""

    key: str
    topic: str
    entity_type: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """One model of the deployment.

    `entities` maps each entity type that it knows to the event's fields that name it, the event's own first. `fields`
    are those of the event's fields that its view takes, `reader` reads the groups of its needs, None where it has none.
    """

    spec: ModelSpec
    contract: Contract
    view: View
    columns: tuple[str, ...]
    needs: tuple[Need, ...]
    reader: GroupReader | None
    entities: Mapping[str, tuple[str, ...]]
    fields: tuple[FieldSpec, ...]

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.spec.name

    @property
    def event(self) -> EventSpec:
        """Return the event that the model is about."""
        return self.contract.spec

    def check_view(self, view_hash: str) -> None:
        """Refuse a model that learnt from another view than this deployment's."""
        if view_hash != self.spec.view.hash:
            raise Refused("unknown-view", f"it takes view {view_hash}, this deployment has {self.spec.view.hash}")


def compile_definitions(deployment: Deployment) -> Mapping[str, Definition]:
    """Return the models of a deployment by name."""
    contracts = compile_events(deployment).contracts
    return {
        name: _compile(spec, contracts[deployment.events[spec.view.event].type], deployment)
        for name, spec in deployment.models.items()
    }


def _compile(spec: ModelSpec, contract: Contract, deployment: Deployment) -> Definition:
    event = contract.spec
    taken = {name for column in spec.view.columns for name in _fields_of(column.expr)}
    groups = [deployment.groups[name] for name in spec.view.groups]
    needs = tuple(Need(one.key, feeding(one, deployment), one.entity_type, one.by) for one in groups)
    own = event.entity_fields if event.refers_field is None else (event.refers_field,)
    return Definition(
        spec=spec,
        contract=contract,
        view=compile_view(spec.view),
        columns=tuple(column.name for column in spec.view.columns),
        needs=needs,
        reader=_reader(groups, deployment) if groups else None,
        entities={event.entity_type: own, **{need.entity_type: need.by for need in needs}},
        fields=tuple(field for field in event.fields if field.name in taken),
    )


def _reader(groups: Sequence[GroupSpec], deployment: Deployment) -> GroupReader:
    return GroupReader.of([compile_group(group, deployment.events[group.event]) for group in groups])


def _fields_of(expr: Expr) -> Iterator[str]:
    if isinstance(expr, FieldRef):
        yield expr.name
    elif isinstance(expr, Op):
        for operand in expr.operands:
            yield from _fields_of(operand)
