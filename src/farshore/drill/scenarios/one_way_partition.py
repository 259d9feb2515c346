"""What the home region sends to the other one is held, and nothing else: the role must stay."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    home, standby = course.lab.regions
    course.harm("cut-one-way", home, cut_off=(standby,), called="one-way cut")
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="one-way-partition",
    summary="packets from the home to the standby region are held, the other way is open: the role stays",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
