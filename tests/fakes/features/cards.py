"""Cards with payments, stepped through the engine and stored."""

from tests.fakes.features.deployment import CARD_SPEND, PAYMENT, SECOND, SHOP_TAKINGS, deployment
from tests.unit.oracles.logs import Logged
from tests.unit.oracles.tables import Driven
from tests.unit.oracles.windows import Past

from millrace_engine.entity import EntityPlan, compile_entity
from millrace_engine.groups import compile_group

GROUP = compile_group(CARD_SPEND, PAYMENT)


def paid(second: float, event_id: str, amount: float = 1.0) -> Logged:
    """Return a payment of card a."""
    return Logged("a", Past(event_id, "payment", int(second * SECOND), {"amount": amount}))


def stepped(plan: EntityPlan, *times: float) -> Driven:
    """Return a table after payments of 1.0 at these seconds."""
    driven = Driven(plan)
    driven.step([paid(second, f"e{i}") for i, second in enumerate(times)])
    return driven


def card() -> EntityPlan:
    """Return the plan of cards."""
    return compile_entity(deployment(CARD_SPEND, SHOP_TAKINGS), "card")


def value_of(driven: Driven) -> bytes:
    """Return what is stored of the first group of a."""
    value = driven.store["a"][1]
    assert value is not None
    return value
