"""What a runbook's actions do. Each takes a step's resolved inputs and a `Hands`, and gives its outputs.

https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html, a page for each action; the page
stands beside its function.
"""

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.runbook import Step, UnresolvedError, select, text

WAIT_S = 3600.0
LAMBDA_S = 300.0
LOOK_S = 0.5


class StepFailedError(Exception):
    """The step did not do what it should; in Systems Manager's manner the message ends up in FailureMessage."""


class StepTimedOutError(Exception):
    """The step's time was over."""


class Hands(Protocol):
    """What a step works with."""

    def call(self, service: str, api: str, parameters: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """One AWS API call in the name of the runbook's role; StepFailedError with AWS's words."""

    def pause(self, seconds: float) -> None:
        """Wait; StepTimedOutError at the step's end of time."""


@dataclass(frozen=True, slots=True)
class Done:
    """`next_step`: where a branch leads, None elsewhere."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    next_step: str | None = None


Action = Callable[[Step, Mapping[str, Any], Hands], Done]


def _api(inputs: Mapping[str, Any], hands: Hands) -> dict[str, Any]:
    own = {"Service", "Api", "PropertySelector", "DesiredValues"}
    parameters = {name: value for name, value in inputs.items() if name not in own}
    return hands.call(str(inputs["Service"]), str(inputs["Api"]), parameters, LAMBDA_S)


def execute_api(step: Step, inputs: Mapping[str, Any], hands: Hands) -> Done:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeAwsApi.html."""
    answer = _api(inputs, hands)
    try:
        outputs = {output.name: select(output.selector, answer) for output in step.outputs}
    except UnresolvedError as error:
        raise StepFailedError(str(error)) from error
    return Done({**outputs, "OutputPayload": answer})


def _property(inputs: Mapping[str, Any], hands: Hands) -> Any:
    try:
        return select(str(inputs["PropertySelector"]), _api(inputs, hands))
    except UnresolvedError:
        return None


def wait_for_property(_step: Step, inputs: Mapping[str, Any], hands: Hands) -> Done:
    """An hour unless timeoutSeconds says otherwise. AWS does not say how often it looks; here twice a second.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-waitForAwsResourceProperty.html
    """
    while not _is_desired(found := _property(inputs, hands), inputs):
        hands.pause(LOOK_S)
    return Done({"Value": found})


def assert_property(_step: Step, inputs: Mapping[str, Any], hands: Hands) -> Done:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-assertAwsResourceProperty.html."""
    found = _property(inputs, hands)
    if not _is_desired(found, inputs):
        wanted = ", ".join(map(text, inputs["DesiredValues"]))
        raise StepFailedError(f"{inputs['PropertySelector']} is {text(found)}, not one of: {wanted}")
    return Done({"Value": found})


def _is_desired(found: Any, inputs: Mapping[str, Any]) -> bool:
    return found is not None and text(found) in map(text, inputs["DesiredValues"])


def invoke_function(step: Step, inputs: Mapping[str, Any], hands: Hands) -> Done:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-lamb.html.

    AWS does not say whether a function's own error fails the step. Here it does not: FunctionError tells it, and a
    runbook that looks at the payload is right either way.
    """
    known = {"FunctionName", "Qualifier", "InvocationType", "InputPayload", "Payload"}
    if unheard := inputs.keys() - known:
        raise NotInTheLabError(f"of an invocation, {', '.join(sorted(unheard))} is not passed on.")
    parameters = {
        name: inputs[name] for name in ("FunctionName", "Qualifier", "InvocationType") if name in inputs
    }
    payload = inputs.get("InputPayload")
    told = inputs.get("Payload", "{}") if payload is None else json.dumps(payload)
    answer = hands.call("lambda", "Invoke", {**parameters, "Payload": told}, step.timeout_s or LAMBDA_S)
    outputs = {"StatusCode": answer["StatusCode"], "Payload": answer["Payload"].read().decode()}
    return Done({**outputs, "FunctionError": answer.get("FunctionError", "")})


def branch(_step: Step, inputs: Mapping[str, Any], _hands: Hands) -> Done:
    """The first choice that is true, else the default, else the next step.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-branch.html
    """
    for choice in inputs["Choices"]:
        if _holds(choice):
            return Done(next_step=str(choice["NextStep"]))
    return Done(next_step=inputs.get("Default"))


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "StringEquals": operator.eq,
    "EqualsIgnoreCase": lambda a, b: a.lower() == b.lower(),
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Contains": operator.contains,
    "NumericEquals": lambda a, b: float(a) == float(b),
    "NumericGreater": lambda a, b: float(a) > float(b),
    "NumericGreaterOrEquals": lambda a, b: float(a) >= float(b),
    "NumericLesser": lambda a, b: float(a) < float(b),
    "NumericLesserOrEquals": lambda a, b: float(a) <= float(b),
    "BooleanEquals": lambda a, b: a.lower() == b.lower(),
}


def _holds(condition: Mapping[str, Any]) -> bool:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/branch-action-explained.html."""
    if "And" in condition:
        return all(map(_holds, condition["And"]))
    if "Or" in condition:
        return any(map(_holds, condition["Or"]))
    if "Not" in condition:
        return not _holds(condition["Not"])
    compared = [name for name in condition if name not in ("NextStep", "Variable")]
    if len(compared) != 1 or compared[0] not in _OPERATORS:
        raise NotInTheLabError(f"a choice compares by one of {', '.join(_OPERATORS)}, not by {compared}.")
    wanted = condition[compared[0]]
    return _OPERATORS[compared[0]](text(condition["Variable"]), text(wanted))


ACTIONS: Mapping[str, Action] = {
    "aws:assertAwsResourceProperty": assert_property,
    "aws:branch": branch,
    "aws:executeAwsApi": execute_api,
    "aws:invokeLambdaFunction": invoke_function,
    "aws:waitForAwsResourceProperty": wait_for_property,
}
TIMEOUTS_S: Mapping[str, float] = {
    "aws:invokeLambdaFunction": LAMBDA_S,
    "aws:waitForAwsResourceProperty": WAIT_S,
}
"""What a step may take when it does not say; the others are one call."""
