"""Backends freeze between their commit checks and their commits, and wake when another region writes (H2)."""

from dataclasses import replace

from farshore.drill.course import Course
from farshore.drill.product import LabInfo
from farshore.drill.scenario import MOVED, Crew, Scenario, in_both

HELD_S = 1.5


def with_stragglers(lab: LabInfo) -> tuple[Crew, ...]:
    home = lab.home_region
    plain = Crew(home, "plain", 2, 5.0, part="straggler", pinned_to=home, hold_s=HELD_S)
    aware = Crew(home, "aware", 2, 5.0, part="straggler", hold_s=HELD_S)
    return (*in_both(lab), plain, aware)


def story(course: Course) -> None:
    home = course.lab.home_region
    kinds = "frozen-backend,isolated"
    course.harm(
        kinds, home, called="freeze between check and commit", effect="moves", outage="move", cut_off=(home,)
    )
    course.until_served()
    course.heal_part("frozen-backend")
    course.work(2)
    course.heal()
    course.until_served()
    course.stop()
    course.name_orphans()


SCENARIO = Scenario(
    name="frozen-backend",
    summary="backends are frozen between check and commit, the region is cut off, and they wake too late",
    story=story,
    terms=replace(MOVED, clients=12),
    crews=with_stragglers,
)
