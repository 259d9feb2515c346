"""One execution of a runbook: its steps one after the other, and what GetAutomationExecution shows of them.

Order and failures: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-branch-condition.html
Statuses: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-statuses.html
"""

import datetime as dt
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.runbook import Runbook, Step, UnresolvedError, resolve, text
from farshore.lab.cloud.runbook_actions import (
    ACTIONS,
    TIMEOUTS_S,
    WAIT_S,
    Done,
    StepFailedError,
    StepTimedOutError,
)

Call = Callable[[str, str, Mapping[str, Any], float], dict[str, Any]]
"""(service, api, parameters, timeout_s) -> answer; StepFailedError with AWS's words."""


class CancelledError(Exception):
    """Somebody stopped the execution."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who started which runbook with what."""

    document: str
    version: str
    runbook: Runbook
    arguments: Mapping[str, Any]
    executed_by: str
    region: str
    account: str


@dataclass(slots=True)
class _Record:
    """What is shown of a step."""

    step: Step
    status: str = "Pending"
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))

    def shown(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StepExecution.html."""
        step = self.step
        told: dict[str, Any] = {
            "StepName": step.name,
            "Action": step.action,
            "StepExecutionId": self.identifier,
            "StepStatus": self.status,
            "OnFailure": step.on_failure,
            "MaxAttempts": step.max_attempts,
            "IsEnd": step.is_end,
            "IsCritical": step.is_critical,
            "Inputs": {name: text(value) for name, value in self.inputs.items()},
            "Outputs": {name: [text(value)] for name, value in self.outputs.items()},
            "ExecutionStartTime": self.started,
            "ExecutionEndTime": self.ended,
            "NextStep": step.next_step,
            "TimeoutSeconds": None if step.timeout_s is None else int(step.timeout_s),
            "FailureMessage": self.failure or None,
        }
        return {name: value for name, value in told.items() if value is not None}


class Execution:
    """Runs in whatever thread calls `run`; may be looked at and stopped from any other."""

    def __init__(self, order: Order) -> None:
        self.identifier = str(uuid.uuid4())
        self.order = order
        self.status = "Pending"
        self._started = dt.datetime.now(dt.UTC)
        self._ended: dt.datetime | None = None
        self._failure = ""
        self._stopping = threading.Event()
        self._records = {step.name: _Record(step) for step in order.runbook.steps.values()}
        self._current: Step | None = None
        self._known: dict[str, Any] = {**order.arguments, **self._variables()}

    @property
    def ended(self) -> bool:
        return self._ended is not None

    def stop(self) -> None:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StopAutomationExecution.html (Cancel)."""
        self._stopping.set()

    def run(self, call: Call) -> None:
        """To the end, whatever it is; nothing is raised."""
        self.status = "InProgress"
        try:
            status = self._run(call)
        except CancelledError:
            status = "Cancelled"
        except NotInTheLabError as reason:
            status, self._failure = "Failed", f"not in the lab: {reason}"
        self._current, self._ended, self.status = None, dt.datetime.now(dt.UTC), status

    def _run(self, call: Call) -> str:
        runbook, at, outcome = self.order.runbook, next(iter(self.order.runbook.steps)), "Success"
        while True:
            step = runbook.steps[at]
            record = self._records[at]
            done = self._try(record, call)
            if done is None and step.is_critical:
                outcome = record.status
                self._failure = self._failure or f"Step {step.name} {record.status}: {record.failure}"
            if done is None and step.on_failure == "Abort":
                return outcome if step.is_critical else "Success"
            following = self._following(step, done)
            if following is None:
                return outcome
            at = following

    def _following(self, step: Step, done: Done | None) -> str | None:
        if done is None and step.on_failure != "Continue":
            return step.on_failure
        if step.is_end:
            return None
        return (done and done.next_step) or step.next_step or self.order.runbook.after(step)

    def _try(self, record: _Record, call: Call) -> Done | None:
        """One step with its attempts; None when it failed."""
        step, self._current = record.step, record.step
        record.status, record.started = "InProgress", dt.datetime.now(dt.UTC)
        try:
            record.inputs = resolve(step.inputs, self._known)
            done = self._attempt(record, call)
        except CancelledError:
            record.status = "Cancelled"
            raise
        except StepTimedOutError as error:
            record.status, record.failure = "TimedOut", str(error)
        except (StepFailedError, UnresolvedError, KeyError) as error:
            record.status, record.failure = "Failed", str(error)
        else:
            record.status, record.outputs = "Success", done.outputs
            self._known.update({f"{step.name}.{name}": value for name, value in done.outputs.items()})
            return done
        finally:
            record.ended = dt.datetime.now(dt.UTC)
        return None

    def _attempt(self, record: _Record, call: Call) -> Done:
        step = record.step
        for attempt in range(1, step.max_attempts + 1):
            hands = _Hands(call, self._stopping, step)
            try:
                return ACTIONS[step.action](step, record.inputs, hands)
            except StepFailedError:
                if attempt == step.max_attempts:
                    raise
                hands.pause(1.0)
        raise StepFailedError(f"maxAttempts is {step.max_attempts}")

    def _variables(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-variables.html."""
        return {
            "automation:EXECUTION_ID": self.identifier,
            "global:REGION": self.order.region,
            "global:ACCOUNT_ID": self.order.account,
            "global:AWS_PARTITION": "aws",
            "global:DATE": self._started.strftime("%Y-%m-%d"),
            "global:DATE_TIME": self._started.strftime("%Y-%m-%d_%H.%M.%S"),
        }

    def metadata(self) -> dict[str, Any]:
        """What both lists and descriptions show."""
        told: dict[str, Any] = {
            "AutomationExecutionId": self.identifier,
            "DocumentName": self.order.document,
            "DocumentVersion": self.order.version,
            "AutomationExecutionStatus": self.status,
            "ExecutionStartTime": self._started,
            "ExecutionEndTime": self._ended,
            "ExecutedBy": self.order.executed_by,
            "Mode": "Auto",
            "Outputs": self._outputs(),
            "FailureMessage": self._failure or None,
            "CurrentStepName": self._current.name if self._current else None,
            "CurrentAction": self._current.action if self._current else None,
        }
        return {name: value for name, value in told.items() if value is not None}

    def described(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_AutomationExecution.html."""
        return {
            **self.metadata(),
            "Parameters": {
                name: [text(one) for one in (value if isinstance(value, list) else [value])]
                for name, value in self.order.arguments.items()
            },
            "StepExecutions": [record.shown() for record in self._records.values()],
            "StepExecutionsTruncated": False,
        }

    def _outputs(self) -> dict[str, list[str]]:
        known = self._known
        return {name: [text(known[name])] for name in self.order.runbook.outputs if name in known}


class _Hands:
    """A step's hands: they stop when the execution is stopped or the step's time is over."""

    def __init__(self, call: Call, stopping: threading.Event, step: Step) -> None:
        self._call = call
        self._stopping = stopping
        self._limit_s = step.timeout_s or TIMEOUTS_S.get(step.action, WAIT_S)
        self._give_up = time.monotonic() + self._limit_s

    def call(self, service: str, api: str, parameters: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        self.pause(0)
        return self._call(service, api, parameters, timeout_s)

    def pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise CancelledError
        if time.monotonic() >= self._give_up:
            raise StepTimedOutError(f"not within timeoutSeconds = {self._limit_s:g}")
