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


PROPOSALS = {row.name for row in TABLE if row.name.startswith("propose")}
BOOKKEEPING = {"withdraw-proposal", "rejoined", "reply-known", *PROPOSALS}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_has_a_reason_and_changes_or_does_something(row):
    assert len(row.reason) > 20
    assert row.action is not Action.NOTHING or row.source is not row.target or row.name in BOOKKEEPING


def test_names_are_unique():
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_only_a_recorded_intent_promotes():
    asked = {row.target for row in TABLE if row.action in (Action.PROMOTE, Action.SWITCH)}
    assert asked == {Phase.PROMOTING}


def test_no_row_skips_the_claim_or_the_drain():
    """What leads where; that no way leads to two writers is tried in test_every_pair.py and on random worlds."""
    ways = {(row.source, row.target) for row in TABLE if row.source is not row.target}
    assert ways == {
        (Phase.HELD, Phase.CLAIMED),
        (Phase.DRAINING, Phase.HELD),
        (Phase.DRAINING, Phase.CLAIMED),
        (Phase.DRAINING, Phase.PROMOTING),
        (Phase.CLAIMED, Phase.HELD),
        (Phase.CLAIMED, Phase.PROMOTING),
        (Phase.PROMOTING, Phase.HELD),
        (Phase.PROMOTING, Phase.CLAIMED),
    }
