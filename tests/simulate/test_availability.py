"""The risk officer's answer: repeatable, in the right direction, and honest about where its numbers come from."""

import json
from dataclasses import fields, replace

import pytest
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.core.errors import UsageError
from farshore.simulate.availability import (
    ASSUMPTIONS,
    CAUSES,
    YEAR_S,
    Model,
    answer,
    dice_years,
    quantile,
    variants,
)

YEARS = 1500


def minutes(model):
    return sum(dice_years(model, YEARS, 1).yearly_s) / YEARS / 60


def test_the_same_seed_gives_the_same_years():
    assert dice_years(Model(), 200, 3) == dice_years(Model(), 200, 3)
    assert dice_years(Model(), 200, 3) != dice_years(Model(), 200, 4)


def test_events_come_as_often_as_their_rates_say_and_last_as_long():
    events = dice_years(Model(), 4000, 1)
    for cause, rate in (("writer crash", 2.0), ("planned move", 4.0), ("operator error", 0.5)):
        assert len(events.outages_s[cause]) / 4000 == pytest.approx(rate, rel=0.1)
    crashes = events.outages_s["writer crash"]
    assert quantile(crashes, 0.5) == pytest.approx(30, rel=0.05)
    assert quantile(crashes, 0.95) == pytest.approx(60, rel=0.05)


def test_a_year_is_the_sum_of_its_events():
    events = dice_years(Model(), 500, 2)
    assert sum(events.yearly_s) == pytest.approx(sum(sum(events.outages_s[cause]) for cause in CAUSES))
    assert events.availability == pytest.approx(1 - sum(events.yearly_s) / 500 / YEAR_S)


def test_nothing_ever_fails_where_no_rate_is_given():
    rates = ("region_loss", "writer_crash", "table_dark", "operator_error", "planned_move")
    events = dice_years(replace(Model(), **dict.fromkeys(rates, 0.0)), 100, 1)
    assert events.share_of_years(0.999999) == 1


@pytest.mark.parametrize(
    "worse",
    [
        {"farshore": False},
        {"mode": "approve"},
        {"operator_error": 2.0},
        {"planned_move_s": 150.0},
        {"region_loss": 5.0},
    ],
    ids=str,
)
def test_what_is_worse_costs_minutes(worse):
    assert minutes(replace(Model(), **worse)) > minutes(Model()) * 1.05


def test_a_failover_that_takes_longer_than_the_loss_ends_with_it():
    short = replace(Model(), region_loss=3.0, region_loss_h=0.001, region_loss_h_95=0.001)
    assert max(dice_years(short, 100, 1).outages_s["region loss"]) <= 3.7


def test_what_an_isolated_region_acknowledges_counts_as_lost_until_its_lease_ends():
    cut_off, dead = (replace(Model(), region_loss=3.0, isolated=share) for share in (1.0, 0.0))
    assert quantile(dice_years(cut_off, 200, 1).losses_s, 0.5) > 15
    assert quantile(dice_years(dead, 200, 1).losses_s, 0.5) < 1


def test_every_number_is_explained():
    numbers = {one.name for one in fields(Model) if isinstance(one.default, float)}
    explained = set(ASSUMPTIONS) | {f"{name}_95" for name in ASSUMPTIONS}
    assert numbers <= explained
    for about in ASSUMPTIONS.values():
        assert "assumed" in about.source or about.page.startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize(
    "wrong",
    [{"region_loss": -1.0}, {"isolated": 1.5}, {"writer_crash_s": 90.0}, {"lag_s": float("nan")}],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        Model(**wrong)


def test_the_verdict_follows_the_share_of_years():
    assert answer(Model(), 0.99, 300, 1).verdict == "valid"
    assert answer(Model(), 0.9999999, 300, 1).verdict == "invalid"
    assert len(answer(Model(), 0.99, 100, 1).others) == len(variants(Model()))


def test_the_command_writes_a_page_that_asks_for_nothing(tmp_path):
    arguments = ["simulate", "availability", "--years", "300", "--json", "--report", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    document = json.loads(done.stdout)
    assert done.exit_code == {"valid": 0, "unknown": 3, "invalid": 1}[document["verdict"]]
    page = (tmp_path / "availability.html").read_text()
    assert "<script" not in page
    assert 'src="' not in page
    assert "@import" not in page
    assert "A model on stated assumptions" in page
    assert page.count("<svg") == 8
    assert all(f">{name}<" in page for name in ASSUMPTIONS)
    assert json.loads((tmp_path / "availability.json").read_text()) == document


@pytest.mark.parametrize("wrong", [["--set", "nothing=1"], ["--set", "lag_s=x"], ["--target", "2"]], ids=str)
def test_wrong_use_is_said(wrong):
    done = CliRunner().invoke(app, ["simulate", "availability", "--years", "100", *wrong])
    assert done.exit_code == 2
