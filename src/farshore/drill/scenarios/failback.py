"""A region is lost and returns; an operator moves the writer home, but not before what was lost is accounted for."""

from farshore.drill.course import Course
from farshore.drill.scenario import Scenario
from farshore.drill.terms import Terms


def story(course: Course) -> None:
    home = course.lab.home_region
    course.lose(home)
    course.until_served()
    course.heal()
    course.bring_clients_back(home)
    course.name_orphans()
    course.must_refuse("failback", naming="farshore reconcile")
    course.tell("reconcile")
    if course.unresolved_orphans():
        course.must_refuse("failback", naming="farshore reconcile --resolved")
        course.tell("reconcile", "--resolved", "--reason", "the drill writes its orphans off")
    course.move("failback", home)
    course.until_served()
    course.stop()


SCENARIO = Scenario(
    name="failback",
    summary="after a region loss, moving home is refused until the lost are accounted for, and then loses nothing",
    story=story,
    ends_with="the home region",
    terms=Terms(
        clients=12,  # eight, and four more in the region that came back
        acks_before_min=300,
        acks_after_min=100,
        kind_acks_after_min=20,
        faults_due=2,
        refusals_due=1,
    ),
)
