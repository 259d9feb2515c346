"""Lambda functions, who may call them, and the rules that do."""

import json
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old, capitals


def _function(call: Call) -> Made:
    functions = call.client("lambda")
    name = call.inputs.get("name") or call.auto_name()
    nested = {
        parameter: capitals(call.inputs[source])
        for source, parameter in (
            ("vpcConfig", "VpcConfig"),
            ("deadLetterConfig", "DeadLetterConfig"),
            ("tracingConfig", "TracingConfig"),
            ("loggingConfig", "LoggingConfig"),
            ("ephemeralStorage", "EphemeralStorage"),
        )
        if source in call.inputs
    }
    made = functions.create_function(
        FunctionName=name,
        Code={"ZipFile": call.inputs["code"].content},
        Environment={"Variables": call.inputs.get("environment", {}).get("variables", {})},
        **call.given(
            "runtime role handler timeout memorySize architectures description publish", kmsKeyArn="KMSKeyArn"
        ),
        **nested,
        Tags=dict(call.tags),
    )
    if "reservedConcurrentExecutions" in call.inputs:
        functions.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=call.inputs["reservedConcurrentExecutions"]
        )
    arn = made["FunctionArn"]
    invoke = f"arn:aws:apigateway:{call.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return Made(
        name,
        {
            "name": name,
            "arn": arn,
            "qualifiedArn": f"{arn}:{made['Version']}",
            "invokeArn": invoke,
            "codeSha256": made["CodeSha256"],
            "version": made["Version"],
        },
    )


def _delete_function(old: Old) -> None:
    old.client("lambda").delete_function(FunctionName=old.id)


def _permission(call: Call) -> Made:
    identifier = call.inputs.get("statementId") or call.auto_name()
    call.client("lambda").add_permission(
        FunctionName=call.inputs["function"],
        StatementId=identifier,
        **call.given("action principal sourceArn sourceAccount functionUrlAuthType invokedViaFunctionUrl"),
    )
    return Made(identifier, {"statementId": identifier})


def _delete_permission(old: Old) -> None:
    old.client("lambda").remove_permission(FunctionName=old["function"], StatementId=old.id)


def _url(call: Call) -> Made:
    name = call.inputs["functionName"]
    made = call.client("lambda").create_function_url_config(
        FunctionName=name, AuthType=call.inputs["authorizationType"]
    )
    return Made(name, {"functionUrl": made["FunctionUrl"], "functionArn": made["FunctionArn"]})


def _delete_url(old: Old) -> None:
    old.client("lambda").delete_function_url_config(FunctionName=old["functionName"])


def _invoke_config(call: Call) -> Made:
    wanted = call.given(
        "functionName maximumRetryAttempts", maximumEventAgeInSeconds="MaximumEventAgeInSeconds"
    )
    if "destinationConfig" in call.inputs:
        wanted["DestinationConfig"] = capitals(call.inputs["destinationConfig"])
    call.client("lambda").put_function_event_invoke_config(**wanted)
    return Made(call.inputs["functionName"])


def _delete_invoke_config(old: Old) -> None:
    old.client("lambda").delete_function_event_invoke_config(FunctionName=old.id)


def _rule(call: Call) -> Made:
    name = call.inputs.get("name") or call.auto_name()
    wanted = call.given("description scheduleExpression eventPattern state roleArn eventBusName")
    made = call.client("events").put_rule(Name=name, **wanted, Tags=call.tag_list())
    return Made(name, {"name": name, "arn": made["RuleArn"]})


def _delete_rule(old: Old) -> None:
    old.client("events").delete_rule(Name=old.id)


def _target(call: Call) -> Made:
    identifier = call.inputs.get("targetId") or call.auto_name()
    target: dict[str, Any] = {"Id": identifier, **call.given("arn input inputPath roleArn")}
    for name in ("deadLetterConfig", "retryPolicy", "inputTransformer"):
        if name in call.inputs:
            target[name[:1].upper() + name[1:]] = capitals(call.inputs[name])
    answer = call.client("events").put_targets(Rule=call.inputs["rule"], Targets=[target])
    if answer.get("FailedEntryCount"):
        raise ValueError(json.dumps(answer["FailedEntries"]))
    return Made(f"{call.inputs['rule']}-{identifier}", {"targetId": identifier})


def _delete_target(old: Old) -> None:
    old.client("events").remove_targets(Rule=old["rule"], Ids=[old["targetId"]])


KINDS = {
    "aws:lambda/function:Function": Kind(
        "name code runtime role handler timeout memorySize architectures description publish kmsKeyArn environment "
        "vpcConfig deadLetterConfig tracingConfig loggingConfig ephemeralStorage reservedConcurrentExecutions "
        "sourceCodeHash",
        _function,
        _delete_function,
    ),
    "aws:lambda/permission:Permission": Kind(
        "statementId function action principal sourceArn sourceAccount functionUrlAuthType invokedViaFunctionUrl",
        _permission,
        _delete_permission,
    ),
    "aws:lambda/functionUrl:FunctionUrl": Kind("functionName authorizationType", _url, _delete_url),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": Kind(
        "functionName maximumRetryAttempts maximumEventAgeInSeconds destinationConfig",
        _invoke_config,
        _delete_invoke_config,
    ),
    "aws:cloudwatch/eventRule:EventRule": Kind(
        "name description scheduleExpression eventPattern state roleArn eventBusName", _rule, _delete_rule
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Kind(
        "targetId rule arn input inputPath roleArn deadLetterConfig retryPolicy inputTransformer",
        _target,
        _delete_target,
    ),
}
