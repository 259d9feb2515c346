"""No call to the authority table is answered: writing stops when the lease ends, and goes on afterwards."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("dark-table", course.lab.home_region, outage="while", called="dark authority table")
    course.work(6)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="authority-dark",
    summary="the authority table answers nobody: writing stops, nobody moves, and it goes on when the table is back",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
