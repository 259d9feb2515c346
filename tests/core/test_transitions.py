"""The table as a whole."""

import json
import re
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


def test_the_pagers_filter_names_what_takes_the_writer_away_or_needs_a_person():
    (attributes,) = re.findall(r"--attributes '(.*)'", (DOCS / "events.md").read_text())
    rules = json.loads(json.loads(attributes)["FilterPolicy"])["action"]
    exact = {rule for rule in rules if isinstance(rule, str)}
    prefixes = tuple(rule["prefix"] for rule in rules if not isinstance(rule, str))
    names = {row.name for row in TABLE}
    assert exact <= names
    rings = {name for name in names if name in exact or name.startswith(prefixes)}
    words = ("propose", "lost", "role-moved", "approved", "promoted")
    assert rings >= {name for name in names if any(word in name for word in words)} - {
        "withdraw-proposal",
        "claim-approved",
        "approved-while-draining",
        "approved-on-the-way",
    }, "what a person has just approved needs no pager"
