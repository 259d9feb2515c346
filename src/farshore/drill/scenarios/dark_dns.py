"""No resolver answers, in either region: who is connected goes on, and nobody moves."""

from farshore.drill.course import Course
from farshore.drill.scenario import STAYED, Scenario


def story(course: Course) -> None:
    course.harm("dark-dns", ",".join(course.lab.regions), outage="short", called="DNS black hole")
    course.work(6)
    course.heal()
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="dark-dns",
    summary="both resolvers are a black hole: the role stays, and nothing is lost",
    story=story,
    terms=STAYED,
    ends_with="the home region",
)
