"""What serving stands on in tests: a promotions log, and stores that can go away."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx
import msgspec
from tests.fakes.serving.declared import MODEL, VIEW_HASH, deployment

from millrace_common.artifacts import ArtifactStore
from millrace_common.bus import Publisher
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import Clock, SystemClock
from millrace_common.codec import encode
from millrace_common.errors import Unavailable
from millrace_common.host import Host
from millrace_common.ids import sha256
from millrace_common.messages import Arm, Person, Prediction, Promotion, Reason
from millrace_common.records import Outgoing
from millrace_common.service import Service
from millrace_common.slots import Held, Wanted
from millrace_serving.core.limits import Limits
from millrace_serving.handlers import Online as Reader
from millrace_serving.service import build

_STORES = count()


@dataclass(slots=True)
class Gatekeeper:
    """Writes a valid chain of promotions of one model; `versions` maps a version to its artifact's (uri, digest)."""

    bus: Publisher
    store: ArtifactStore
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    epoch: int = 0
    prev: str | None = None

    async def train(self, version: str, files: Mapping[str, bytes]) -> str:
        """Store a version's files and return its digest."""
        stored = await self.store.put(files)
        self.versions[version] = stored.uri, stored.digest
        return stored.digest

    def promotion(self, version: str | None, *, view_hash: str = VIEW_HASH) -> Outgoing:
        """Return the next record: this version answers alone; None: nothing does."""
        self.epoch += 1
        arms: tuple[Arm, ...] = ()
        if version is not None:
            uri, digest = self.versions[version]
            arms = (
                Arm(
                    name="champion",
                    role="answer",
                    version=version,
                    digest=digest,
                    artifact_uri=uri,
                    view_hash=view_hash,
                    weight_bp=10_000,
                ),
            )
        message = Promotion(
            model=MODEL,
            epoch=self.epoch,
            prev=self.prev,
            rollout_id=f"rollout-{self.epoch}",
            version=version or "0",
            from_state="gating",
            to_state="champion",
            mode="direct",
            arms=arms,
            salt="",
            reason=Reason(code="test", text="a test"),
            policy_hash="p",
            actor=Person(name="gatekeeper", role="service"),
            at_us=self.epoch,
        )
        outgoing = encode(message)
        self.prev = sha256(outgoing.value or b"")
        return outgoing

    async def promote(self, version: str | None, *, view_hash: str = VIEW_HASH) -> None:
        """Append the next record."""
        await self.bus.publish([self.promotion(version, view_hash=view_hash)])


@dataclass(slots=True)
class Online:
    """The online store: values by (entity type, entity id, group key); `away` raises, `hangs` never answers.

    Not `whole`: it is being rebuilt.
    """

    values: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    away: bool = False
    hangs: bool = False
    whole: bool = True
    reads: list[int] = field(default_factory=list)

    async def read(self, wanted: Sequence[Wanted]) -> list[Held]:
        """Return the values."""
        if self.away:
            raise Unavailable("redis: no connection")
        if self.hangs:
            await asyncio.Event().wait()
        self.reads.append(len(wanted))
        return [Held(self.values.get((one.entity_type, one.entity_id, one.group_key)), self.whole) for one in wanted]


@dataclass(slots=True)
class Artifacts:
    """An artifact store that can be away."""

    store: ArtifactStore
    away: bool = False

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the files."""
        if self.away:
            raise Unavailable("the bucket does not answer")
        return await self.store.get(uri, digest)


@dataclass(slots=True)
class MemorySpool:
    """A spool that keeps records in memory."""

    kept: list[Outgoing] = field(default_factory=list)
    full: bool = False

    @property
    def records(self) -> int:
        """Return how many records it holds."""
        return len(self.kept)

    async def keep(self, *records: Outgoing) -> None:
        """Keep the records."""
        if self.full:
            raise Unavailable("the spool is full")
        self.kept += records


@dataclass(slots=True)
class Stage:
    """One serving service on a bus in memory, with everything around it within reach."""

    bus: MemoryBus
    keeper: Gatekeeper
    online: Online
    artifacts: Artifacts
    spool: MemorySpool
    service: Service

    async def promote_new(self, version: str, files: Mapping[str, bytes]) -> str:
        """Store a version and let it answer; return its digest."""
        digest = await self.keeper.train(version, files)
        await self.keeper.promote(version)
        return digest

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client of its HTTP app."""
        assert self.service.app is not None
        transport = httpx.ASGITransport(app=self.service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://serving") as client:
            yield client

    def predictions(self) -> list[Prediction]:
        """Return the predictions that the spool holds."""
        return [msgspec.json.decode(record.value or b"", type=Prediction) for record in self.spool.kept]


async def staged(
    clock: Clock | None = None,
    *,
    missing: str = "default",
    score: str = "both",
    limits: Limits | None = None,
    requests_max: int = 100,
    online: Reader | None = None,
) -> Stage:
    """Return a serving service that follows the log and takes rows."""
    clock = clock or SystemClock()
    bus = MemoryBus(clock)
    store = ArtifactStore.open(f"memory://serving-{next(_STORES)}")
    faked, artifacts, spool = Online(), Artifacts(store), MemorySpool()
    host = Host(deployment(missing=missing, score=score), bus, clock, "0", "0.1.0")
    service = build(
        host, online=online or faked, artifacts=artifacts, spool=spool, limits=limits, requests_max=requests_max
    )
    await bus.seat(service)
    return Stage(bus, Gatekeeper(bus, store), faked, artifacts, spool, service)
