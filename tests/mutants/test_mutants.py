"""Every deliberate breakage of the product turns a test red."""

import pytest

from mutants.breaking import ROOT, all_green, broken_copy, first_red, unbroken_copy
from mutants.catalogue import MUTANTS
from mutants.table import table

NAMES = [one.name for one in MUTANTS]
SAMPLE = [one for one in MUTANTS if one.caught_by.startswith("tests/core/") and "::" in one.caught_by][::5]


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_the_line_to_break_is_there_once(mutant):
    assert mutant.occurs() == 1


def test_the_documented_table_is_this_one():
    assert (ROOT / "docs" / "mutants.md").read_text() == table()
    assert len(set(NAMES)) == len(NAMES) >= 30


@pytest.mark.parametrize("mutant", SAMPLE, ids=[one.name for one in SAMPLE])
def test_a_sample_is_caught(mutant, tmp_path):
    first_red(broken_copy(mutant, tmp_path), mutant.arguments())


@pytest.mark.soak
@pytest.mark.timeout(2000)
def test_whatever_catches_one_is_green_without_it(tmp_path):
    """Else a test that is red anyway would count as a catch."""
    all_green(unbroken_copy(tmp_path), sorted({file for one in MUTANTS for file in one.files()}))


@pytest.mark.soak
@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_each_is_caught(mutant, tmp_path):
    print(f"\n{mutant.what}: {first_red(broken_copy(mutant, tmp_path), mutant.arguments())}")
