"""A Systems Manager Automation runbook as data: its parameters, its steps, and the values that they refer to. Pure.

https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-schemas.html (schema 0.3),
https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html (what each step may say) and
https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-variables.html ({{ ... }}).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import ServiceException

from farshore.lab.cloud.refusals import NotInTheLabError

SCHEMA = "0.3"
ACTIONS = (
    "aws:assertAwsResourceProperty",
    "aws:branch",
    "aws:executeAwsApi",
    "aws:invokeLambdaFunction",
    "aws:waitForAwsResourceProperty",
)
_DOCUMENT = {"schemaVersion", "description", "assumeRole", "parameters", "mainSteps", "outputs"}
_STEP = {
    "name",
    "action",
    "description",
    "inputs",
    "outputs",
    "onFailure",
    "timeoutSeconds",
    "maxAttempts",
    "nextStep",
    "isEnd",
    "isCritical",
}
_REFERENCE = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_PATH = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[[\"']([^\"']+)[\"']\]")


class RunbookError(ServiceException):
    """An error answer of Systems Manager."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


class UnresolvedError(Exception):
    """A reference or a selector that leads nowhere."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a step takes out of an API's answer: `selector` is a JSONPath."""

    name: str
    selector: str


@dataclass(frozen=True, slots=True)
class Step:
    """`on_failure`: Abort, Continue, or the name of another step; `timeout_s` None: the action's own default."""

    name: str
    action: str
    inputs: Mapping[str, Any]
    outputs: tuple[Output, ...]
    on_failure: str
    timeout_s: float | None
    max_attempts: int
    next_step: str | None
    is_end: bool
    is_critical: bool


@dataclass(frozen=True, slots=True)
class Runbook:
    """`role`: whose permissions the steps have; it may refer to a parameter. `outputs`: `step.Output` names."""

    role: str
    parameters: Mapping[str, Mapping[str, Any]]
    steps: Mapping[str, Step]
    outputs: tuple[str, ...] = field(default=())

    def after(self, step: Step) -> str | None:
        """The step that stands behind one, or None at the end."""
        names = list(self.steps)
        following = names[names.index(step.name) + 1 :]
        return following[0] if following else None


def parse(content: Mapping[str, Any]) -> Runbook:
    """RunbookError: no runbook. NotInTheLabError: a runbook that this lab cannot carry out as AWS would."""
    if content.get("schemaVersion") != SCHEMA or not isinstance(content.get("mainSteps"), list):
        raise RunbookError("InvalidDocumentContent", "a runbook has schemaVersion 0.3 and mainSteps.")
    _refuse_unknown("a runbook", content.keys() - _DOCUMENT)
    if not content.get("assumeRole"):
        raise NotInTheLabError("a runbook without assumeRole runs in its starter's name.")
    steps = {step.name: step for step in map(_step, content["mainSteps"])}
    for step in steps.values():
        wanted = {step.next_step or "Abort", step.on_failure} - {"Abort", "Continue"}
        if unknown := wanted - steps.keys():
            raise RunbookError("InvalidDocumentContent", f"{step.name} leads to no step: {sorted(unknown)}")
    if len(steps) != len(content["mainSteps"]):
        raise RunbookError("InvalidDocumentContent", "two steps have one name.")
    return Runbook(
        role=str(content["assumeRole"]),
        parameters=dict(content.get("parameters") or {}),
        steps=steps,
        outputs=tuple(content.get("outputs") or ()),
    )


def _step(written: Mapping[str, Any]) -> Step:
    name, action = written.get("name"), written.get("action")
    if not name or not action:
        raise RunbookError("InvalidDocumentContent", f"a step has a name and an action: {written}")
    if action not in ACTIONS:
        raise NotInTheLabError(f"step {name}: of the actions it has {', '.join(ACTIONS)}, not {action}.")
    _refuse_unknown(f"step {name}", written.keys() - _STEP)
    timeout = written.get("timeoutSeconds")
    return Step(
        name=name,
        action=action,
        inputs=dict(written.get("inputs") or {}),
        outputs=tuple(Output(o["Name"], o["Selector"]) for o in written.get("outputs") or ()),
        on_failure=str(written.get("onFailure", "Abort")).removeprefix("step:"),
        timeout_s=None if timeout is None else float(timeout),
        max_attempts=int(written.get("maxAttempts", 1)),
        next_step=written.get("nextStep"),
        is_end=_true(written.get("isEnd", False)),
        is_critical=_true(written.get("isCritical", True)),
    )


def _refuse_unknown(where: str, unknown: set[str]) -> None:
    if unknown:
        raise NotInTheLabError(f"{where}: {', '.join(sorted(unknown))} would have no effect.")


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def arguments(runbook: Runbook, given: Mapping[str, list[str]]) -> dict[str, Any]:
    """The parameters' values: those that are given, else the defaults. RunbookError says what is wrong with them."""
    if unknown := given.keys() - runbook.parameters.keys():
        raise _wrong(f"no parameter of this runbook: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for name, declared in runbook.parameters.items():
        if name in given:
            listed = declared["type"] == "StringList"
            values[name] = list(given[name]) if listed else given[name][0]
        elif "default" in declared:
            values[name] = declared["default"]
        else:
            raise _wrong(f"parameter {name} is not given and has no default")
        _check(name, declared, values[name])
    return values


def _check(name: str, declared: Mapping[str, Any], value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        allowed, pattern = declared.get("allowedValues"), declared.get("allowedPattern")
        if allowed is not None and one not in allowed:
            raise _wrong(f"parameter {name}: {one!r} is not one of {', '.join(map(str, allowed))}")
        if pattern is not None and not re.fullmatch(pattern, str(one)):
            raise _wrong(f"parameter {name}: {one!r} does not match {pattern}")


def _wrong(message: str) -> RunbookError:
    return RunbookError("InvalidAutomationExecutionParametersException", message)


def resolve(value: Any, known: Mapping[str, Any]) -> Any:
    """The value with every {{ reference }} replaced; one that stands alone keeps its type."""
    if isinstance(value, Mapping):
        return {name: resolve(part, known) for name, part in value.items()}
    if isinstance(value, list):
        return [resolve(part, known) for part in value]
    if not isinstance(value, str):
        return value
    if whole := _REFERENCE.fullmatch(value):
        return _known(whole[1], known)
    return _REFERENCE.sub(lambda found: text(_known(found[1], known)), value)


def _known(name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise UnresolvedError(f"{{{{ {name} }}}} has no value")
    return known[name]


def select(selector: str, answer: Any) -> Any:
    """What a JSONPath selects: names and numbers, `$.Clusters[0].Status`; filters and wildcards are refused."""
    if not selector.startswith("$") or _PATH.sub("", selector[1:]):
        raise NotInTheLabError(f"selectors are names and numbers, not {selector}.")
    found = answer
    for name, index, quoted in _PATH.findall(selector):
        try:
            found = found[int(index)] if index else found[name or quoted]
        except (KeyError, IndexError, TypeError):
            raise UnresolvedError(f"{selector} selects nothing") from None
    return found


def text(value: Any) -> str:
    """As Systems Manager shows and compares values."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
