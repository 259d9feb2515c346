"""A region is lost while AWS throttles, fails and loses calls of every kind."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.harm("api-errors", standby, outage="short")
    course.work(4)
    course.lose(home)
    course.until_served()
    course.heal(2)
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="api-errors",
    summary="each AWS operation's first call and every fifth after it go wrong, and then the home region is lost",
    story=story,
    terms=replace(MOVED, faults_due=2),
)
