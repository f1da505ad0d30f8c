"""`millrace features`: how the words of a command line name an entity."""

import pytest
from tests.fakes.features.deployment import CARD_SPEND, PAYMENT, deployment

from millrace.spec import Deployment, EventSpec, FeatureSpec, FieldSpec, GroupSpec
from millrace_cli.commands.features import groups_of, key_of, shown_group
from millrace_common.errors import Refused
from millrace_common.slots import Held

VISIT = EventSpec(
    type="visit",
    class_name="Visit",
    version=1,
    fields=(
        FieldSpec("country", "str", "entity"),
        FieldSpec("shop", "int", "entity"),
        FieldSpec("ts", "datetime", "time"),
    ),
    id_field=None,
    entity_fields=("country", "shop"),
    time_field="ts",
)
SHOP = GroupSpec("Shop", "visit", ("country", "shop"), (FeatureSpec("n", "count", None, 60_000_000),), "ab" * 16)
DEPLOYMENT = Deployment({"visit": VISIT, "payment": PAYMENT}, {"Shop": SHOP, "CardSpend": CARD_SPEND}, {}, {}, "0" * 32)


@pytest.mark.parametrize("words", [["de", "7"], ["de", "07"], ['["de", 7]'], ['["de","7"]']])
def test_a_composite_id_is_words_or_a_json_array(words: list[str]) -> None:
    """However it is written, the key is the compact JSON array that stands in Kafka."""
    assert key_of(SHOP, DEPLOYMENT, words) == '["de",7]'


@pytest.mark.parametrize(
    ("words", "why"), [(["de"], "country, shop"), (["de", "x"], "whole number"), (["[1]"], "JSON")]
)
def test_an_id_that_cannot_be_one_is_refused(words: list[str], why: str) -> None:
    """The text names the fields, or the part that is wrong."""
    with pytest.raises(Refused, match=why):
        key_of(SHOP, DEPLOYMENT, words)


def test_only_entities_with_features_are_known() -> None:
    """An entity type without a group has nothing to show."""
    assert groups_of("country_shop", DEPLOYMENT) == [SHOP]
    with pytest.raises(Refused, match="there are features of: card, country_shop"):
        groups_of("shop", DEPLOYMENT)


def test_a_value_of_another_format_is_named_unreadable() -> None:
    """It is shown as what it is, and does not hide the other groups."""
    shown = shown_group(CARD_SPEND, deployment(CARD_SPEND), Held(b"\0" * 80, whole=True), 1)
    assert (shown["status"], shown["features"]) == ("unreadable", [])
