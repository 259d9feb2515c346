"""The link between the regions is cut while the writer is alive: the role must stay."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.harm("cut-wan", home, outage="rows", cut_off=(standby,), called="WAN cut")
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="wan-cut",
    summary="the link between the regions is cut, the holder lives: the role stays, the far clients wait",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
