"""The disk of the writer is full: it cannot write another byte of WAL."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("full-disk", course.lab.home_region, outage="short", mends=False)
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="disk-full",
    summary="the kernel refuses the writer's next byte of WAL (ENOSPC); its region replaces it",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
