"""The controller of the home region is frozen and thawed later: its neighbour keeps the lease."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("frozen-controller", course.lab.home_region)
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="frozen-controller",
    summary="the home controller is frozen and thawed: the other one renews for it, the role stays",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
