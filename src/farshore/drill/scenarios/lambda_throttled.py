"""The functions of the home region end, and no concurrency is left for new ones."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("throttled-functions", course.lab.home_region)
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="lambda-throttled",
    summary="the home functions end and new ones are throttled: the other region keeps the lease",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
