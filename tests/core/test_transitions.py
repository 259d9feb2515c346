"""The table as a whole."""

from pathlib import Path

import pytest

from farshore.core.authority import Phase
from farshore.core.diagram import document
from farshore.core.transitions import TABLE, Action

DOCS = Path(__file__).parents[2] / "docs"


def test_the_diagram_in_the_docs_is_the_table():
    assert (DOCS / "state-diagram.md").read_text() == document(), (
        "python -m farshore.core.diagram > docs/state-diagram.md"
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_has_a_reason_and_changes_or_does_something(row):
    assert len(row.reason) > 20
    assert (
        row.action is not Action.NOTHING
        or row.source is not row.target
        or row.name in {"rejoined", "claim-expired"}
    )


def test_names_are_unique():
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_only_a_recorded_intent_promotes():
    assert {row.target for row in TABLE if row.action is Action.PROMOTE} == {Phase.PROMOTING}


def test_authority_passes_to_another_region_only_out_of_a_claim_or_a_promotion():
    into_held = {row.source for row in TABLE if row.target is Phase.HELD}
    assert into_held <= {Phase.HELD, Phase.CLAIMED, Phase.PROMOTING}
    assert all(row.target is not Phase.PROMOTING for row in TABLE if row.source is Phase.HELD)
