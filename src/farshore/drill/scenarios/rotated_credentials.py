"""The functions' login is rotated under load, and then the region is lost: the new one must serve."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario


def story(course: Course) -> None:
    home = course.lab.home_region
    course.harm("rotated-login", home, mends=False)
    course.until_served()
    course.lose(home)
    course.until_served()
    course.stop()
    course.heal()
    course.name_orphans()


SCENARIO = Scenario(
    name="rotated-credentials",
    summary="the functions' database login is rotated under load, then the home region is lost",
    story=story,
    terms=replace(MOVED, faults_due=2),
)
