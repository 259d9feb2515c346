"""The writer dies, and its own region replaces it: no other region may take over for that."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("crashed-writer", course.lab.home_region, outage="short", mends=False)
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="writer-crash",
    summary="the writer dies; its region replaces it, and the role stays there",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
