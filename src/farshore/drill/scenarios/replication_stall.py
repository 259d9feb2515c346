"""Replication to the standby region stands still for a while: the role must stay."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("stalled-replication", course.lab.standby_region)
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="replication-stall",
    summary="replication stands still for eight seconds: nobody moves, writing goes on",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
