"""Every call to the authority table takes longer: the lease must be kept all the same."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("slow-table", course.lab.home_region, called="slow authority table")
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="authority-slow",
    summary="every call to the authority table takes 250 ms more: the lease is kept, the role stays",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
