"""The lost writer comes back, and applications that know only its address write to it at once."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario, pinned


def story(course: Course) -> None:
    home = course.lab.home_region
    course.lose(home)
    course.until_served()
    course.heal()
    course.put_to_work(pinned(home, home))
    course.put_to_work(pinned(course.lab.standby_region, home))
    course.work(6)
    course.stop()
    course.name_orphans()


SCENARIO = Scenario(
    name="zombie-writer",
    summary="the lost writer returns, and clients that know only its address try to write there",
    story=story,
    terms=replace(MOVED, clients=12),
)
