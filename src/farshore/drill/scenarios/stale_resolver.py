"""A resolver that never forgets sends its clients to the old writer, also when it returns."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.harm("stale-dns", standby, called="stale DNS")
    course.work(3)
    course.lose(home)
    course.until_served("aware")
    course.heal()
    course.work(4)
    course.heal(2)
    course.until_served()
    course.stop()
    course.name_orphans()


SCENARIO = Scenario(
    name="stale-resolver",
    summary="the survivors' resolver goes on naming the lost writer, which comes back: nobody is served by it",
    story=story,
    terms=replace(MOVED, faults_due=2, kind_acks_after_min=10),
)
