"""The page about bad input and the tests of it say the same cases."""

from tests.e2e import (
    bad_input_page,
    test_bad_input,
    test_bad_input_corrections,
    test_bad_input_outages,
    test_bad_input_serving,
)

MODULES = (test_bad_input, test_bad_input_corrections, test_bad_input_outages, test_bad_input_serving)


def test_each_row_of_the_page_is_proven_and_each_proven_case_is_on_the_page() -> None:
    """A row without a test, and a test without a row, are found by name."""
    assert all(module.__doc__ for module in MODULES)
    assert set(bad_input_page.rows()) == bad_input_page.PROVEN
