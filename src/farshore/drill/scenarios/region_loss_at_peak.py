"""The home region is lost under twice as many clients, each half as fast again."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.product import LabInfo
from farshore.drill.scenario import MOVED, Crew, Scenario, crews_in


def at_peak(lab: LabInfo) -> tuple[Crew, ...]:
    return tuple(crew for region in lab.regions for crew in crews_in(region, count=4, per_second=60.0))


def story(course: Course) -> None:
    course.lose(course.lab.home_region)
    course.until_served()
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="region-loss-at-peak",
    summary="the home region is lost while the load is several times the usual",
    story=story,
    terms=replace(MOVED, clients=16, acks_before_min=600),
    crews=at_peak,
)
