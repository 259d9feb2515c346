"""Nothing is done, and nothing may happen."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.nothing()
    course.work()
    course.stop()


SCENARIO = Scenario(
    name="nothing-happens",
    summary="nothing is done for ten minutes (--seconds; 20 s in `farshore drill all`): nothing may happen",
    story=story,
    terms=STAYED,
    ends_with="the home region",
    seconds=600.0,
    seconds_of_all=20.0,
)
