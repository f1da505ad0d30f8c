"""What the deployment makes of each topic: whose state it feeds, and what a counted event brings forth."""

from collections.abc import Mapping
from dataclasses import dataclass

from millrace.spec import Deployment, EventSpec, LabelSpec
from millrace_common.topics import RAW_DATA, by_entity
from millrace_engine.entity import EntityPlan, compile_entity
from millrace_engine.events import Contract
from millrace_engine.expressions import Evaluate, compile_scalar


@dataclass(frozen=True, slots=True)
class Feed:
    """One topic read: the plans of the entity types that it feeds. `by`: the fields that name another entity."""

    topic: str
    plans: Mapping[str, EntityPlan]
    by: tuple[str, ...] | None = None

    @property
    def reach_us(self) -> int | None:
        """Return how long before a record others may lie that its rows depend on; None: anywhere before it."""
        reaches = [plan.reach_us for plan in self.plans.values()]
        known = [reach for reach in reaches if reach is not None]
        return max(known, default=0) if len(known) == len(reaches) else None

    def entity_type_of(self, spec: EventSpec) -> str:
        """Return the type of the entity that events of a class are about on this topic."""
        return spec.entity_type if self.by is None else next(iter(self.plans))

    def named_by(self, contract: Contract) -> tuple[str, ...]:
        """Return the fields by which events of a class name the entity that they are about on this topic."""
        return self.by or contract.key

    def reads(self, contract: Contract) -> tuple[str, ...]:
        """Return the fields of a class that are looked at of each event."""
        spec = contract.spec
        computed = self.plans[self.entity_type_of(spec)].reads[spec.type]
        named = filter(None, (spec.id_field, spec.time_field, *self.named_by(contract)))
        return tuple(dict.fromkeys((*named, *computed)))

    def takes(self, spec: EventSpec) -> bool:
        """Say whether events of a class belong on this topic."""
        return any(event.type == spec.type for event in self.plans[self.entity_type_of(spec)].events)


@dataclass(frozen=True, slots=True)
class Forward:
    """A copy that a counted event sends to the topic of another entity."""

    topic: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feeds:
    """Everything that is read, and what follows from an event type."""

    by_topic: Mapping[str, Feed]
    forwards: Mapping[str, tuple[Forward, ...]]
    labels: Mapping[str, tuple[tuple[LabelSpec, Evaluate], ...]]


def compile_feeds(deployment: Deployment) -> Feeds:
    """Compile a deployment's topics. Raises ValueError naming a feature that cannot be computed."""
    own = {event.entity_type for event in deployment.events.values()}
    feeds = [Feed(RAW_DATA.name, {name: compile_entity(deployment, name) for name in sorted(own)})]
    others = {group.entity_type: group.by for group in deployment.groups.values()}
    for entity_type in deployment.repartitioned:
        plan = compile_entity(deployment, entity_type, copies=True)
        feeds.append(Feed(by_entity(entity_type).name, {entity_type: plan}, others[entity_type]))
    return Feeds(
        {feed.topic: feed for feed in feeds},
        {event: _forwards(event, feeds[1:]) for event in deployment.events},
        {event: _labels(event, deployment) for event in deployment.events},
    )


def _forwards(event_type: str, feeds: list[Feed]) -> tuple[Forward, ...]:
    return tuple(
        Forward(feed.topic, feed.by)
        for feed in feeds
        if feed.by and any(spec.type == event_type for plan in feed.plans.values() for spec in plan.events)
    )


def _labels(event_type: str, deployment: Deployment) -> tuple[tuple[LabelSpec, Evaluate], ...]:
    labels = sorted(deployment.labels.values(), key=lambda label: label.name)
    return tuple((label, compile_scalar(label.value)) for label in labels if label.seen_in == event_type)
