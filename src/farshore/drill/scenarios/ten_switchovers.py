"""An operator moves the writer ten times in a row under load."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import PLANNED, Scenario

TURNS = 10


def story(course: Course) -> None:
    home, standby = course.lab.regions
    for turn in range(TURNS):
        course.move("switchover", home if turn % 2 else standby)
        course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="ten-switchovers",
    summary="ten planned moves in a row under load; nothing may be lost",
    story=story,
    terms=replace(PLANNED, faults_due=TURNS),
    ends_with="the home region",
)
