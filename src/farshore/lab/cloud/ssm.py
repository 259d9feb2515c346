"""Systems Manager overlay: moto keeps the documents, and Automation runs them, in the name of their roles.

https://docs.aws.amazon.com/systems-manager/latest/userguide/running-simple-automations.html
An execution belongs to its region: while that is lost it stands still, and nobody can look at it.
"""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.responses import ActionResult, EmptyResult
from moto.ssm import urls
from moto.ssm.models import Document, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.sts.models import sts_backends

from farshore.lab.cloud import runbook
from farshore.lab.cloud.automation import Execution, Order
from farshore.lab.cloud.callers import Callers, UnknownCallerError
from farshore.lab.cloud.overlay import swap
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.runbook import RunbookError
from farshore.lab.cloud.runbook_actions import StepFailedError
from farshore.lab.ports import Links

SESSION_S = 12 * 3600
LOST_LOOK_S = 0.2
_STARTED_WITH = {"DocumentName", "DocumentVersion", "Parameters", "Mode", "Tags"}
_FILTERS: Mapping[str, Callable[[Execution, str], bool]] = {
    "DocumentNamePrefix": lambda execution, value: execution.order.document.startswith(value),
    "ExecutionStatus": lambda execution, value: execution.status == value,
    "ExecutionId": lambda execution, value: execution.identifier == value,
}


class Automations:
    """Every execution of every region; `endpoint(region)` is the URL at which Systems Manager calls the others."""

    def __init__(self, endpoint: Callable[[str], str], links: Links) -> None:
        self._endpoint = endpoint
        self._links = links
        self._executions: dict[str, Execution] = {}
        self._closing = threading.Event()

    def start(self, order: Order) -> Execution:
        execution = Execution(order)
        role = str(runbook.resolve(order.runbook.role, order.arguments))
        apis = _Apis(self._session(role, execution), self._endpoint(order.region))

        def call(service: str, api: str, parameters: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
            self._await_region(order.region)
            return apis.call(service, api, parameters, timeout_s)

        self._executions[execution.identifier] = execution
        name = f"automation-{order.document}"
        threading.Thread(target=execution.run, args=(call,), name=name, daemon=True).start()
        return execution

    def find(self, region: str, identifier: str) -> Execution:
        found = self._executions.get(identifier)
        if found is None or found.order.region != region:
            raise RunbookError(
                "AutomationExecutionNotFoundException", f"Couldn't find an automation execution {identifier}"
            )
        return found

    def of(self, region: str) -> list[Execution]:
        """The newest first."""
        return [one for one in reversed(self._executions.values()) if one.order.region == region]

    def close(self) -> None:
        self._closing.set()
        for execution in self._executions.values():
            execution.stop()

    def _await_region(self, region: str) -> None:
        while self._links.lost(region):
            if self._closing.wait(LOST_LOOK_S):
                raise StepFailedError("the lab has ended")

    def _session(self, role: str, execution: Execution) -> boto3.Session:
        order = execution.order
        made = sts_backends[order.account]["aws"].assume_role(
            region_name=order.region,
            role_session_name=f"Automation-{execution.identifier}",
            role_arn=role,
            policy="",
            duration=SESSION_S,
            external_id="",
        )
        return boto3.Session(
            aws_access_key_id=made.access_key_id,
            aws_secret_access_key=made.secret_access_key,
            aws_session_token=made.session_token,
            region_name=order.region,
        )


class _Apis:
    """AWS's APIs as a role may call them; a client is made once, since that takes longer than most calls."""

    def __init__(self, session: boto3.Session, endpoint: str) -> None:
        self._session = session
        self._endpoint = endpoint
        self._made: dict[tuple[str, float], Any] = {}

    def call(self, service: str, api: str, parameters: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client(service, timeout_s), xform_name(api))(**parameters)
        except AttributeError as error:
            raise StepFailedError(f"{service} has no API {api}") from error
        except (ClientError, BotoCoreError) as error:
            raise StepFailedError(str(error)) from error
        answer.pop("ResponseMetadata", None)
        return answer

    def _client(self, service: str, timeout_s: float) -> Any:
        if (service, timeout_s) not in self._made:
            config = Config(connect_timeout=5, read_timeout=timeout_s, retries={"total_max_attempts": 1})
            made = self._session.client(service, endpoint_url=self._endpoint, config=config)
            self._made[service, timeout_s] = made
        return self._made[service, timeout_s]


class LabSsm(SimpleSystemManagerResponse):
    """moto's documents; a runbook that could not be carried out is refused when it is made."""

    automations: ClassVar[Automations]

    def create_document(self) -> ActionResult:
        wanted = json.loads(self.body)
        if wanted.get("DocumentType") != "Automation":
            raise NotInTheLabError(f"documents are Automation runbooks, not {wanted.get('DocumentType')}.")
        answer = super().create_document()
        try:
            runbook.parse(self._document(wanted["Name"], None).content_json)
        except Exception:
            self.ssm_backend.delete_document(wanted["Name"], "", "", force=True)
            raise
        return answer

    def start_automation_execution(self) -> ActionResult:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html."""
        wanted = json.loads(self.body)
        if unheard := wanted.keys() - _STARTED_WITH:
            raise NotInTheLabError(f"{', '.join(sorted(unheard))} would have no effect.")
        if wanted.get("Mode", "Auto") != "Auto":
            raise NotInTheLabError("executions run by themselves; Mode is Auto.")
        name = str(wanted["DocumentName"]).rpartition("/")[2]
        document = self._document(name, wanted.get("DocumentVersion"))
        parsed = runbook.parse(document.content_json)
        order = Order(
            document=name,
            version=document.document_version,
            runbook=parsed,
            arguments=runbook.arguments(parsed, wanted.get("Parameters") or {}),
            executed_by=self._caller(),
            region=self.region,
            account=self.current_account,
        )
        return ActionResult({"AutomationExecutionId": self.automations.start(order).identifier})

    def get_automation_execution(self) -> ActionResult:
        execution = self.automations.find(self.region, json.loads(self.body)["AutomationExecutionId"])
        return ActionResult({"AutomationExecution": execution.described()})

    def describe_automation_executions(self) -> ActionResult:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_AutomationExecutionFilter.html."""
        filters = json.loads(self.body).get("Filters") or []
        if unheard := {one["Key"] for one in filters} - _FILTERS.keys():
            raise NotInTheLabError(f"filters are {', '.join(_FILTERS)}, not {', '.join(sorted(unheard))}.")
        found = [
            execution.metadata()
            for execution in self.automations.of(self.region)
            if all(any(_FILTERS[one["Key"]](execution, v) for v in one["Values"]) for one in filters)
        ]
        return ActionResult({"AutomationExecutionMetadataList": found})

    def stop_automation_execution(self) -> ActionResult:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StopAutomationExecution.html."""
        wanted = json.loads(self.body)
        if wanted.get("Type", "Cancel") != "Cancel":
            raise NotInTheLabError("an execution is stopped by Cancel.")
        execution = self.automations.find(self.region, wanted["AutomationExecutionId"])
        if execution.ended:
            raise RunbookError(
                "InvalidAutomationStatusUpdateException", f"The execution is {execution.status} already."
            )
        execution.stop()
        return EmptyResult()

    def _document(self, name: str, version: str | None) -> Document:
        known = ssm_backends[self.current_account][self.region]._documents.get(name)  # noqa: SLF001 - no other way
        if known is None:
            raise RunbookError(
                "AutomationDefinitionNotFoundException", f"Automation definition {name} not found"
            )
        if version in (None, "$DEFAULT"):
            return known.get_default_version()
        found = known.get_latest_version() if version == "$LATEST" else known.versions.get(version)
        if found is None:
            raise RunbookError(
                "AutomationDefinitionVersionNotFoundException", f"{name} has no version {version}"
            )
        return found

    def _caller(self) -> str:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return Callers().find(self.get_access_key(), headers).arn
        except UnknownCallerError:
            return ""


def install(automations: Automations) -> None:
    """Put the overlay into moto's url table; before the first request."""
    swap(urls, type("LabSsm", (LabSsm,), {"automations": automations}))
