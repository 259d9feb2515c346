"""The standby region is lost and returns: the writer goes on as if nothing had been."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.lose(course.lab.standby_region, outage="rows")
    course.until_served()
    course.work(4)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="standby-loss",
    summary="the standby region is lost and returns: the writer goes on",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
