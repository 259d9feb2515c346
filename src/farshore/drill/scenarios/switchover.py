"""An operator moves the writer to the other region and home again while the clients work. Nothing may be lost."""

from farshore.drill.course import Course
from farshore.drill.scenario import Scenario
from farshore.drill.terms import Terms


def story(course: Course) -> None:
    for target in (course.lab.standby_region, course.lab.home_region):
        course.move("switchover", target)
        course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="switchover",
    summary="an operator moves the writer to the other region and home again under load; nothing may be lost",
    story=story,
    ends_with="the home region",
    terms=Terms(
        clients=8,
        acks_before_min=300,
        acks_after_min=100,
        kind_acks_after_min=20,
        faults_due=2,
        orphans_due=False,
        loss_allowed=False,
    ),
)
