"""The lost writer comes back, and applications that know only its address write to it at once."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.product import LabInfo
from farshore.drill.scenario import MOVED, Crew, Scenario, in_both, pinned


def with_pinned_ones(lab: LabInfo) -> tuple[Crew, ...]:
    """They outlive the loss, and go on trying the address they know."""
    return (*in_both(lab), pinned(lab.standby_region, lab.home_region))


def story(course: Course) -> None:
    home = course.lab.home_region
    course.lose(home)
    course.until_served()
    course.heal()
    course.work(6)
    course.stop()
    course.name_orphans()


SCENARIO = Scenario(
    name="zombie-writer",
    summary="the lost writer returns, and clients that know only its address try to write there",
    story=story,
    terms=replace(MOVED, clients=10, zombie_refusals_min=1),
    crews=with_pinned_ones,
)
