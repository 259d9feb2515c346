"""The region is lost, and while the other takes over, its leading server dies and its functions freeze."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.lose(home)
    course.also("crashed-writer,frozen-functions", standby)
    course.work(3)
    course.heal_also("frozen-functions", standby)
    course.until_served()
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="second-failure",
    summary="the standby's server dies and its functions freeze while it takes over",
    story=story,
    terms=replace(MOVED, faults_due=1),
)
