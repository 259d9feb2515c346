"""Writer and controller are frozen and cut off; they are thawed when another region writes."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.scenario import MOVED, Scenario, pinned


def story(course: Course) -> None:
    home = course.lab.home_region
    course.put_to_work(pinned(home, home))
    kinds = "isolated,frozen-servers,frozen-functions"
    course.harm(kinds, home, called="freeze", effect="moves", outage="move", cut_off=(home,))
    course.until_served()
    course.heal_part("frozen-servers,frozen-functions")
    course.work(4)
    course.heal()
    course.until_served()
    course.stop()
    course.name_orphans()


SCENARIO = Scenario(
    name="frozen-both",
    summary="servers and functions are frozen and cut off, and thawed while the other region writes",
    story=story,
    terms=replace(MOVED, clients=10, zombie_refusals_min=1),
)
