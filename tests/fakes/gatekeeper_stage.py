"""A gatekeeper on a bus in memory, with its artifacts and its HTTP."""

from dataclasses import dataclass, field

import httpx
from tests.fakes.gatekeeper import MemoryArtifacts, World, artifact_files, candidate, deployment

from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.codec import decode, encode
from millrace_common.host import Host
from millrace_common.messages import Candidate, Promotion
from millrace_common.service import Service
from millrace_common.simulate import Simulation
from millrace_gatekeeper.service import build

GOOD, BETTER, BAD = (2.0, 1.0), (4.0, 0.0), (0.0, 4.0)
HOUR_US = 3_600_000_000


@dataclass(slots=True)
class Stage:
    """A gatekeeper, its bus and its artifacts."""

    clock: VirtualClock = field(default_factory=lambda: VirtualClock(HOUR_US))
    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)
    bus: MemoryBus = field(init=False)
    service: Service = field(init=False)
    simulation: Simulation = field(init=False)

    def __post_init__(self) -> None:
        self.bus = MemoryBus(self.clock)
        self.service = self.built()
        self.simulation = Simulation(self.bus, self.clock, [self.service])

    def built(self, *, wait_seconds_max: float = 30.0) -> Service:
        """Return a gatekeeper on this bus."""
        host = Host(deployment(), self.bus, self.clock, "0", "test")
        return build(host, artifacts=self.artifacts, wait_seconds_max=wait_seconds_max)

    async def offer(self, *candidates: Candidate) -> None:
        """Publish candidates and let the gatekeeper work."""
        await self.bus.publish([encode(one) for one in candidates])
        await self.simulation.until_quiet()

    def candidate(self, weights: tuple[float, float], *, seed: int, n: int = 600) -> Candidate:
        """Return a candidate whose gate rows no other has seen."""
        world = World(seed=seed, n=n, start_us=seed * 10**12)
        return candidate(self.artifacts, artifact_files(weights, world), gate_from_us=world.start_us)

    def steps(self) -> list[Promotion]:
        """Return every record on promotions."""
        return [step for record in self.bus.log["promotions"][0] if isinstance(step := decode(record), Promotion)]

    def client(self) -> httpx.AsyncClient:
        """Return a client of the service's HTTP."""
        assert self.service.app is not None
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.service.app), base_url="http://gatekeeper")
