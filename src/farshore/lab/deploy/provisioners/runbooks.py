"""Systems Manager documents."""

from farshore.lab.deploy.kinds import Call, Kind, Made, Old


def _document(call: Call) -> Made:
    ssm, name = call.client("ssm"), call.inputs["name"]
    ssm.create_document(
        Name=name,
        **call.given("content documentType documentFormat targetType versionName"),
        Tags=call.tag_list(),
    )
    made = ssm.describe_document(Name=name)["Document"]
    owner, region = made["Owner"], call.region
    return Made(
        name,
        {
            "name": name,
            "arn": f"arn:aws:ssm:{region}:{owner}:document/{name}",
            "defaultVersion": made["DefaultVersion"],
            "documentVersion": made["DocumentVersion"],
            "status": made["Status"],
        },
    )


def _delete_document(old: Old) -> None:
    old.client("ssm").delete_document(Name=old.id)


KINDS = {
    "aws:ssm/document:Document": Kind(
        "name content documentType documentFormat targetType versionName", _document, _delete_document
    ),
}
