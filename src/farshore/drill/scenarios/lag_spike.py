"""The region is lost while the lag is above the loss budget: nobody moves before a person approves."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.harm("stalled-replication", standby)
    course.work(6)
    course.lose(home, outage="while")
    course.heal(2)
    course.until_proposed()
    course.approve()
    course.until_served()
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="lag-spike",
    summary="the region is lost while replication lags beyond the loss budget: a person must approve",
    story=story,
    terms=replace(MOVED, faults_due=2),
)
