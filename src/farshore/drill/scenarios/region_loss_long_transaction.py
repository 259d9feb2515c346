"""The home region is lost while transactions are open there that began long before."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.product import LabInfo
from farshore.drill.scenario import MOVED, Crew, Scenario, in_both

HELD_S = 4.0


def with_long_ones(lab: LabInfo) -> tuple[Crew, ...]:
    """Their starts are spread by their pace, so that one is well under way whenever the fault comes."""
    long = (Crew(region, "aware", 1, 1.0, part="long", hold_s=HELD_S) for region in lab.regions)
    return (*in_both(lab), *long)


def story(course: Course) -> None:
    course.until_open(1.0)
    course.lose(course.lab.home_region)
    course.until_served()
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="region-loss-long-transaction",
    summary="the home region is lost while transactions of several seconds are open; none may survive by half",
    story=story,
    terms=replace(MOVED, clients=10, open_at_fault_ns=1_000_000_000),
    crews=with_long_ones,
)
