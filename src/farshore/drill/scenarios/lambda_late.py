"""The functions of the home region end, and their next events come late."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("late-functions", course.lab.home_region)
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="lambda-late",
    summary="the home functions end and their next events are late: the other region keeps the lease",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
