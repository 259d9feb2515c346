"""What the other region sends to the home one is held, and nothing else: the role must stay."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    standby = course.lab.standby_region
    course.harm("cut-one-way", standby, outage="rows", cut_off=(standby,), called="one-way cut")
    course.work(8)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="one-way-partition-back",
    summary="packets from the standby to the home region are held, the other way is open: the role stays",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
