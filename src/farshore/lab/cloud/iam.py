"""Authorization at the gateway: the administrator may do everything, a role's session what its policies allow.

Denials have AWS's codes and words:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
Resource policies (topics, queues, keys, functions) are kept and not evaluated; a key's default policy, which leaves
the decision to identity policies, is what every key here is taken to have.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from farshore.lab.cloud import on_behalf, policy, stored, sts
from farshore.lab.cloud.actions import RULES, Rule
from farshore.lab.cloud.asked import Asked
from farshore.lab.cloud.callers import Caller, Callers, UnknownCallerError, administrator
from farshore.lab.cloud.conditions import Context, UnsupportedPolicyError
from farshore.lab.cloud.dispatch import Call
from farshore.lab.cloud.policy import Outcome, Statement
from farshore.lab.cloud.refusals import not_in_the_lab, refusal
from farshore.lab.cloud.wire import Answer

FREE = frozenset({("sts", "GetCallerIdentity")})
"""https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permission is needed."""
AWS_POLICIES = "arn:aws:iam::aws:policy"
_DOCUMENTS = {
    "PutRolePolicy": ("PolicyDocument", False),
    "CreatePolicy": ("PolicyDocument", False),
    "CreatePolicyVersion": ("PolicyDocument", False),
    "CreateRole": ("AssumeRolePolicyDocument", True),
    "UpdateAssumeRolePolicy": ("PolicyDocument", True),
}


class DeniedError(Exception):
    """A call that no policy allows, in AWS's words."""


@dataclass(slots=True)
class _Parsed:
    """A role's policies as they were when they were parsed."""

    documents: tuple[tuple[str, str], ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """How often a statement allowed or denied something, in all and by action."""

    role: str
    policy: str
    statement: str
    count: int
    actions: Mapping[str, int]


@dataclass(slots=True)
class _Record:
    lock: threading.Lock = field(default_factory=threading.Lock)
    used: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)


class Authorizer:
    """Judges every call before it is answered. `enforce` off: all may do everything, and nothing is recorded."""

    def __init__(self, *, enforce: bool) -> None:
        self.enforce = enforce
        self._callers = Callers()
        self._parsed: dict[str, _Parsed] = {}
        self._trusts: dict[str, _Parsed] = {}
        self._record = _Record()

    def who(self, call: Call) -> str:
        """The caller's ARN, or `nobody`."""
        try:
            return self._callers.find(call.access_key, call.request.headers).arn
        except UnknownCallerError:
            return "nobody"

    def refusal(self, call: Call) -> Answer | None:
        """The refusal of a call that may not be made, or None."""
        _know_aws_policy(call)
        if not self.enforce:
            return None
        try:
            self._judge(call)
        except UnknownCallerError as unknown:
            return refusal(call.request, call.service, status=403, code=unknown.code, message=str(unknown))
        except DeniedError as denied:
            with self._record.lock:
                self._record.denied[str(denied)] += 1
            return _denial(call, str(denied))
        except on_behalf.RoleNotEnoughError as lacking:
            return refusal(
                call.request,
                call.service,
                status=400,
                code=lacking.code,
                message=str(lacking),
            )
        except UnsupportedPolicyError as unsupported:
            why = f"its IAM does not evaluate {unsupported}."
            return not_in_the_lab(call.request, call.service, call.operation, why)
        return None

    def may(
        self, role: str, action: str, resource: str, keys: Mapping[str, str] | None = None
    ) -> policy.Verdict:
        """Whether a role's policies allow an action; `keys`: condition keys of the request, in lower case."""
        given = {key: (value,) for key, value in (keys or {}).items()}
        return self._evaluate(role, action, resource, given.get)

    def may_assume(self, role: str, service: str, keys: Mapping[str, str] | None = None) -> bool:
        """Whether a role's trust policy lets an AWS service assume it; `keys` as for `may`."""
        given = {key: (value,) for key, value in (keys or {}).items()}
        trust = sts.trust_in(self._trust_policy(role), role, service, given.get)
        self._count(role, "sts:AssumeRole", trust.by)
        return trust.allowed

    def uses(self) -> list[Use]:
        """Every statement of every role, trust policies included, with what it decided so far; 0 for the idle."""
        with self._record.lock:
            used = dict(self._record.used)
        return [
            _use(name, statement, used)
            for account in iam_backends
            for role in list(iam_backends[account]["aws"].roles.values())
            for name in (role.name,)
            for statement in (*self._policies(role.arn), *self._trust_policy(role.arn))
        ]

    def denials(self) -> dict[str, int]:
        """What was denied, in AWS's words, and how often."""
        with self._record.lock:
            return dict(self._record.denied)

    def _judge(self, call: Call) -> None:
        caller = self._callers.find(call.access_key, call.request.headers)
        asked = Asked(caller.account, call.region, call.request)
        if call.service == "iam":
            _check_documents(call, asked)
        if call.service == "sts" and call.operation == "AssumeRole":
            self._judge_assuming(caller, asked)
            return
        if caller.role is not None and (call.service, call.operation) not in FREE:
            self._judge_role(caller, call, asked)
        on_behalf.check(self, caller, call, asked)

    def _judge_role(self, caller: Caller, call: Call, asked: Asked) -> None:
        rule = RULES.get(call.service, {}).get(call.operation)
        if rule is None:
            raise DeniedError(
                f"User: {caller.arn} is not authorized to perform: {call.service}:{call.operation} because the lab "
                "knows neither its action nor its resources (farshore.lab.cloud.actions); its administrator may."
            )
        for resource in rule.resources(asked):
            self.demand(caller, rule.action, resource, _context(caller, asked, rule, resource))

    def demand(self, caller: Caller, action: str, resource: str, context: Context) -> None:
        """Raises DeniedError unless the caller's role allows this."""
        verdict = self._evaluate(str(caller.role), action, resource, context)
        if verdict.allowed:
            return
        why = (
            "with an explicit deny in an identity-based policy"
            if verdict.outcome is Outcome.EXPLICIT_DENY
            else f"because no identity-based policy allows the {action} action"
        )
        raise DeniedError(
            f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} {why}"
        )

    def _judge_assuming(self, caller: Caller, asked: Asked) -> None:
        wanted = asked.one("RoleArn") or ""
        for unheard in ("Policy", "PolicyArns.member.1.arn", "Tags.member.1.Key"):
            if asked.one(unheard) is not None:
                raise UnsupportedPolicyError(f"session policies and session tags ({unheard})")
        denied = DeniedError(
            f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {wanted}"
        )
        known = stored.role(wanted.split(":")[4], wanted) if wanted.count(":") >= 5 else None  # noqa: PLR2004 - an ARN's colons
        if known is None:
            raise denied
        rule = RULES["sts"]["AssumeRole"]
        context = _context(caller, asked, rule, wanted)
        trust = sts.trust_in(self._trust_policy(wanted), wanted, caller, context)
        if not trust.allowed:
            raise denied
        if caller.role is not None and trust.needs_identity_policy:
            self.demand(caller, rule.action, wanted, context)
        longest = int(known.max_session_duration or sts.DURATION_DEFAULT_S)
        if int(asked.one("DurationSeconds") or sts.DURATION_DEFAULT_S) > longest:
            raise DeniedError(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        self._count(wanted, rule.action, trust.by)

    def _evaluate(self, role: str, action: str, resource: str, context: Context) -> policy.Verdict:
        verdict = policy.evaluate(self._policies(role), action, resource, context)
        self._count(role, action, verdict.by)
        return verdict

    def _count(self, role: str, action: str, by: tuple[Statement, ...]) -> None:
        name = role.rpartition("/")[2]
        with self._record.lock:
            for statement in by:
                self._record.used[name, statement.policy, statement.label, action] += 1

    def _policies(self, role: str) -> tuple[Statement, ...]:
        known = stored.role(role.split(":")[4], role)
        if known is None:
            return ()
        if known.permissions_boundary_arn:
            raise UnsupportedPolicyError(f"permissions boundaries, as {known.name} has one")
        documents = tuple(_documents(known))
        cached = self._parsed.get(role)
        if cached is None or cached.documents != documents:
            statements = tuple(s for name, document in documents for s in policy.parse(name, document))
            cached = self._parsed[role] = _Parsed(documents, statements)
        return cached.statements

    def _trust_policy(self, role: str) -> tuple[Statement, ...]:
        known = stored.role(role.split(":")[4], role)
        documents = (("(trust)", _document(known.assume_role_policy_document)),) if known else ()
        cached = self._trusts.get(role)
        if cached is None or cached.documents != documents:
            statements = tuple(s for name, text in documents for s in policy.parse(name, text, trust=True))
            cached = self._trusts[role] = _Parsed(documents, statements)
        return cached.statements


def _documents(role: Any) -> Iterator[tuple[str, str]]:
    for name, document in role.policies.items():
        yield name, _document(document)
    for attached in role.managed_policies.values():
        current = next(v for v in attached.versions if v.version_id == attached.default_version_id)
        yield attached.name, _document(current.document)


def _document(kept: Any) -> str:
    return kept if isinstance(kept, str) else json.dumps(kept)


def _use(role: str, statement: Statement, used: Mapping[tuple[str, str, str, str], int]) -> Use:
    mine = (role, statement.policy, statement.label)
    actions = {key[3]: count for key, count in used.items() if key[:3] == mine}
    return Use(*mine, sum(actions.values()), actions)


def _context(caller: Caller, asked: Asked, rule: Rule, resource: str) -> Context:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html."""

    def value(key: str) -> tuple[str, ...] | None:
        if key in rule.keys:
            return rule.keys[key](asked)
        if key.startswith("aws:resourcetag/"):
            return _tag(stored.tags(caller.account, resource) if ":" in resource else {}, key)
        if key.startswith("aws:principaltag/"):
            return _tag(stored.tags(caller.account, caller.role) if caller.role else {}, key)
        return {
            "aws:principalaccount": (caller.account,),
            "aws:principalarn": (caller.role or caller.arn,),
            "aws:requestedregion": (asked.region,),
            "aws:resourceaccount": (caller.account,),
            "aws:userid": (caller.userid,),
            "kms:calleraccount": (caller.account,),
        }.get(key)

    return value


def _tag(tags: Mapping[str, str] | None, key: str) -> tuple[str, ...] | None:
    if tags is None:
        raise UnsupportedPolicyError(f"{key} of a resource whose tags the lab does not look up")
    wanted = key.partition("/")[2]
    found = [value for name, value in tags.items() if name.lower() == wanted]
    return (found[0],) if found else None


def _check_documents(call: Call, asked: Asked) -> None:
    """What will not be evaluated is refused when it is written, not when a drill meets it."""
    parameter, trust = _DOCUMENTS.get(call.operation, ("", False))
    if parameter and (document := asked.one(parameter)):
        name = asked.one("PolicyName") or asked.one("RoleName") or "?"
        policy.parse(name, document, trust=trust)


def _know_aws_policy(call: Call) -> None:
    """moto knows AWS's own policies only all at once, which takes seconds; one is read when it is attached."""
    if call.operation != "AttachRolePolicy" or AWS_POLICIES.encode() not in call.request.body.replace(
        b"%3A", b":"
    ).replace(b"%2F", b"/"):
        return
    account = administrator().account
    arn = Asked(account, call.region, call.request).one("PolicyArn") or ""
    backend = iam_backends[account]["aws"]
    name = arn.rpartition("/")[2]
    place = aws_managed_policies_data.find(f'"{name}":{{')
    if arn in backend.managed_policies or place < 0:
        return
    data, _ = json.JSONDecoder().raw_decode(aws_managed_policies_data, place + len(name) + 3)
    backend.managed_policies[arn] = AWSManagedPolicy.from_data(name, account, "us-east-1", data)


def _denial(call: Call, message: str) -> Answer:
    """Codes differ by service and protocol.

    EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    SNS: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html#API_Publish_Errors
    JSON services: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
    """
    status, code = 403, "AccessDenied"
    if call.service == "ec2":
        code = "UnauthorizedOperation"
        message = f"You are not authorized to perform this operation. {message}"
    elif call.service == "sns":
        code = "AuthorizationError"
    elif call.service == "lambda":
        code = "AccessDeniedException"
    elif "x-amz-target" in call.request.headers and call.service not in ("monitoring", "sqs"):
        status, code = 400, "AccessDeniedException"
    return refusal(call.request, call.service, status=status, code=code, message=message)
