"""The link between the regions comes and goes: the role must not follow it."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.harm("flapping-wan", home, felt_in=(standby,), called="flapping WAN")
    course.work(9)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="flapping-partition",
    summary="the link between the regions comes and goes every 0.7 s: the role stays",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
