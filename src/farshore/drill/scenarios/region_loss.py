"""The home region goes dark; the other one takes over by itself; when the region returns, the lost are named."""

from farshore.drill.course import Course
from farshore.drill.scenario import Scenario
from farshore.drill.terms import Terms


def story(course: Course) -> None:
    course.lose(course.lab.home_region)
    course.until_served()
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="region-loss",
    summary="the home region is lost under load; authority moves by itself; the region returns",
    story=story,
    terms=Terms(clients=8, acks_before_min=300, acks_after_min=100, kind_acks_after_min=20),
)
