"""The writer stops in the middle of everything (SIGSTOP) and is thawed later: it must go on, and not twice."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("frozen-writer", course.lab.home_region, outage="while", silent=True)
    course.work(6)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="frozen-writer",
    summary="the writer is frozen and thawed while its region lives: it goes on, nothing is lost",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
