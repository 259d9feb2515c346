"""A runbook's language: documents, references, selectors, choices, and the order of steps."""

import threading

import pytest

from farshore.lab.cloud.automation import Execution, Order
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.runbook import RunbookError, UnresolvedError, arguments, parse, resolve, select
from farshore.lab.cloud.runbook_actions import StepFailedError

REGION = "us-west-2"


def document(*steps, **more):
    return {"schemaVersion": "0.3", "assumeRole": "arn:aws:iam::1:role/r", "mainSteps": list(steps), **more}


def api(name, **more):
    return {
        "name": name,
        "action": "aws:executeAwsApi",
        "inputs": {"Service": "rds", "Api": name},
        **more,
    }


def executed(*steps, answers=lambda service, api, parameters: {}, given=None, **more):
    runbook = parse(document(*steps, **more))
    order = Order("d", "1", runbook, arguments(runbook, given or {}), "me", REGION, "1")
    execution = Execution(order)
    execution.run(lambda service, api, parameters, _timeout_s: answers(service, api, parameters))
    return execution


def statuses(execution):
    return {step["StepName"]: step["StepStatus"] for step in execution.described()["StepExecutions"]}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (document({"name": "s", "action": "aws:executeScript"}), "aws:executeScript"),
        (document(api("s", onCancel="Abort")), "onCancel"),
        (document(api("s"), variables={}), "variables"),
        ({**document(api("s")), "assumeRole": ""}, "assumeRole"),
    ],
)
def test_what_could_not_be_carried_out_is_refused(content, named):
    with pytest.raises(NotInTheLabError, match=named):
        parse(content)


@pytest.mark.parametrize(
    "content",
    [
        {**document(api("s")), "schemaVersion": "2.2"},
        document(api("s", nextStep="nowhere")),
        document(api("s", onFailure="step:nowhere")),
        document(api("s"), api("s")),
        document({"action": "aws:branch"}),
    ],
)
def test_nonsense_is_no_runbook(content):
    with pytest.raises(RunbookError) as refused:
        parse(content)
    assert refused.value.code == "InvalidDocumentContent"


def test_a_reference_that_stands_alone_keeps_its_type():
    known = {"Count": 3, "Ask.Payload": '{"a": 1}', "global:REGION": REGION}
    asked = {"n": "{{ Count }}", "text": ["{{Count}} in {{ global:REGION }}"], "p": "{{ Ask.Payload }}"}
    assert resolve(asked, known) == {"n": 3, "text": ["3 in us-west-2"], "p": '{"a": 1}'}
    with pytest.raises(UnresolvedError, match="Nobody"):
        resolve("{{ Nobody }}", known)


def test_a_selector_is_a_path_of_names_and_numbers():
    answer = {"Items": [{"holder": {"S": "x"}}]}
    assert select("$.Items[0].holder.S", answer) == "x"
    assert select("$['Items'][0]", answer) == {"holder": {"S": "x"}}
    for nowhere in ("$.Items[1]", "$.items", "$.Items.holder"):
        with pytest.raises(UnresolvedError):
            select(nowhere, answer)
    with pytest.raises(NotInTheLabError):
        select("$.Items[?(@.holder)]", answer)


PARAMETERS = {
    "Target": {"type": "String", "allowedValues": ["a", "b"], "default": "a"},
    "Ticket": {"type": "String", "allowedPattern": "^[A-Z]+-[0-9]+$"},
}


@pytest.mark.parametrize(
    "given", [{}, {"Ticket": ["x"]}, {"Ticket": ["A-1"], "Target": ["c"]}, {"Ticket": ["A-1"], "No": ["x"]}]
)
def test_wrong_parameters_start_nothing(given):
    with pytest.raises(RunbookError) as refused:
        arguments(parse(document(api("s"), parameters=PARAMETERS)), given)
    assert refused.value.code == "InvalidAutomationExecutionParametersException"


def test_parameters_have_defaults():
    runbook = parse(document(api("s"), parameters=PARAMETERS))
    assert arguments(runbook, {"Ticket": ["A-1"]}) == {"Target": "a", "Ticket": "A-1"}


def test_steps_see_parameters_and_what_earlier_steps_gave():
    seen = []

    def answers(service, api, parameters):
        seen.append((service, api, parameters))
        return {"Found": {"Arn": "arn"}}

    execution = executed(
        api("Look", outputs=[{"Name": "Arn", "Selector": "$.Found.Arn", "Type": "String"}]),
        {
            **api("Use"),
            "inputs": {"Service": "rds", "Api": "Use", "Arn": "{{ Look.Arn }}", "To": "{{ Target }}"},
        },
        answers=answers,
        given={"Ticket": ["A-1"]},
        parameters=PARAMETERS,
        outputs=["Look.Arn"],
    )
    assert execution.status == "Success"
    assert seen[1] == ("rds", "Use", {"Arn": "arn", "To": "a"})
    assert execution.metadata()["Outputs"] == {"Look.Arn": ["arn"]}


def test_a_failed_step_ends_the_execution_unless_it_may_go_on():
    def answers(service, api, parameters):
        if api == "Bad":
            raise StepFailedError("refused")
        return {}

    aborted = executed(api("Bad"), api("Good"), answers=answers)
    assert (aborted.status, statuses(aborted)) == ("Failed", {"Bad": "Failed", "Good": "Pending"})
    assert "Bad" in aborted.metadata()["FailureMessage"]
    went_on = executed(api("Bad", onFailure="Continue"), api("Good"), answers=answers)
    assert (went_on.status, statuses(went_on)["Good"]) == ("Failed", "Success")
    uncritical = executed(api("Bad", onFailure="Continue", isCritical=False), api("Good"), answers=answers)
    assert uncritical.status == "Success"
    led = executed(api("Bad", onFailure="step:Last"), api("Good"), api("Last"), answers=answers)
    assert statuses(led) == {"Bad": "Failed", "Good": "Pending", "Last": "Success"}


def test_a_step_is_tried_as_often_as_it_says():
    tries = []

    def answers(service, api, parameters):
        tries.append(api)
        if len(tries) == 1:
            raise StepFailedError("busy")
        return {}

    assert executed(api("Twice", maxAttempts=2), answers=answers).status == "Success"
    assert len(tries) == 2


def branching(choice, **more):
    return (
        {"name": "B", "action": "aws:branch", "inputs": {"Choices": [{**choice, "NextStep": "Yes"}], **more}},
        api("Next", isEnd=True),
        api("Default", isEnd=True),
        api("Yes", isEnd=True),
    )


def reached(execution):
    return [name for name, status in statuses(execution).items() if status == "Success" and name != "B"]


@pytest.mark.parametrize(
    ("choice", "holds"),
    [
        ({"Variable": '{"accepted": true}', "Contains": '"accepted": true'}, True),
        ({"Variable": '{"accepted": false}', "Contains": '"accepted": true'}, False),
        ({"Not": {"Variable": "a", "StringEquals": "b"}}, True),
        ({"Or": [{"Variable": "a", "StringEquals": "b"}, {"Variable": "a", "StartsWith": "a"}]}, True),
        ({"And": [{"Variable": "a", "StringEquals": "b"}, {"Variable": "a", "EndsWith": "a"}]}, False),
        ({"Variable": "10", "NumericGreater": 9}, True),
        ({"Variable": True, "BooleanEquals": "true"}, True),
    ],
)
def test_a_branch_follows_the_first_true_choice(choice, holds):
    assert reached(executed(*branching(choice, Default="Default"))) == (["Yes"] if holds else ["Default"])


def test_a_branch_without_a_default_goes_to_the_next_step():
    assert reached(executed(*branching({"Variable": "a", "StringEquals": "b"}))) == ["Next"]


def wait(name, selector="$.Status", **more):
    inputs = {"Service": "rds", "Api": "Look", "PropertySelector": selector, "DesiredValues": ["available"]}
    return {"name": name, "action": "aws:waitForAwsResourceProperty", "inputs": inputs, **more}


def test_a_wait_goes_on_until_the_property_is_there():
    answers = iter([{}, {"Status": "failing-over"}, {"Status": "available"}])
    execution = executed(wait("W"), answers=lambda *_: next(answers))
    assert execution.status == "Success"
    assert next(answers, None) is None


def test_a_wait_ends_in_time():
    execution = executed(wait("W", timeoutSeconds=0.6), answers=lambda *_: {"Status": "no"})
    assert (execution.status, statuses(execution)) == ("TimedOut", {"W": "TimedOut"})


def test_an_assertion_looks_once():
    step = {**wait("A"), "action": "aws:assertAwsResourceProperty"}
    assert executed(step, answers=lambda *_: {"Status": "available"}).status == "Success"
    failed = executed(step, answers=lambda *_: {"Status": "failing-over"})
    assert failed.status == "Failed"
    assert "failing-over" in failed.metadata()["FailureMessage"]


def test_stopping_ends_a_wait():
    runbook = parse(document(wait("W")))
    execution = Execution(Order("d", "1", runbook, {}, "me", REGION, "1"))
    looked = threading.Event()

    def call(*_):
        looked.set()
        return {"Status": "no"}

    thread = threading.Thread(target=execution.run, args=(call,))
    thread.start()
    assert looked.wait(5)
    execution.stop()
    thread.join(5)
    assert (execution.status, statuses(execution)) == ("Cancelled", {"W": "Cancelled"})
