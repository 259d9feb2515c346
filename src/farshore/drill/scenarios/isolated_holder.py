"""The writer and its clients are cut off from every other region: they must stop, and the other takes over."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario, pinned


def story(course: Course) -> None:
    home, _ = course.lab.regions
    course.put_to_work(pinned(home, home))
    course.harm("isolated", home, effect="moves", outage="move", cut_off=(home,), called="isolation")
    course.until_served()
    course.work(3)
    course.heal()
    course.until_served()
    course.stop()
    course.name_orphans()


SCENARIO = Scenario(
    name="isolated-holder",
    summary="the writer and its clients are cut off from all other regions; the standby takes over, they must stop",
    story=story,
    terms=replace(MOVED, clients=10, zombie_refusals_min=1),
)
