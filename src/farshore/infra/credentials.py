"""The database's passwords: made once, kept in Secrets Manager, copied to the standby region.

A value is made anew at each run and used only the first time, because later ones are ignored: rotation is nobody's
drift. Whoever needs it takes it from the stored version, so that an `up` that failed halfway and its repetition
agree. Pulumi keeps it encrypted in its state; it is no output of the program.
"""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.aws.rotation import password
from farshore.infra.keys import Keys
from farshore.infra.site import Site, tagged

MASTER_USER = "dbadmin"
CONTROLLER_USER = "farshore"
RECOVERY_WINDOW_DAYS = 7


@dataclass(frozen=True, slots=True)
class CredentialsArgs:
    """`production`: deleted secrets can be restored for seven days; a test's names are free again at once."""

    home: Site
    standby: Site
    home_keys: Keys
    standby_keys: Keys
    production: bool


class Credentials(pulumi.ComponentResource):
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html"""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Credentials", name, None, opts)
        self._name, self._args = name, args
        names = args.home.names
        self.master, version = self._secret("master", names.master_secret, MASTER_USER)
        self.controller, _ = self._secret("controller", names.controller_secret, CONTROLLER_USER)
        self.master_password = version.secret_string.apply(_password_in)
        self.register_outputs(
            {"masterSecretArn": self.master.arn, "controllerSecretArn": self.controller.arn}
        )

    def controller_arn(self, region: str) -> pulumi.Output[str]:
        """A replica has its primary's ARN but for the region."""
        home = self._args.home.region
        return self.controller.arn.apply(lambda arn: arn.replace(f":{home}:", f":{region}:"))

    def _secret(
        self, what: str, secret_name: str, user: str
    ) -> tuple[aws.secretsmanager.Secret, aws.secretsmanager.SecretVersion]:
        args = self._args
        secret = aws.secretsmanager.Secret(
            f"{self._name}-{what}",
            name=secret_name,
            description=f"Login of {user} at {args.home.names.global_cluster}",
            kms_key_id=args.home_keys.data.arn,
            recovery_window_in_days=RECOVERY_WINDOW_DAYS if args.production else 0,
            replicas=[{"region": args.standby.region, "kms_key_id": args.standby_keys.data.arn}],
            tags=tagged(secret_name),
            opts=args.home.options(self, protect=args.production),
        )
        version = aws.secretsmanager.SecretVersion(
            f"{self._name}-{what}-value",
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(json.dumps({"username": user, "password": password()})),
            opts=args.home.options(self, ignore_changes=["secretString"]),
        )
        return secret, version


def _password_in(content: str | None) -> str:
    return str(json.loads(content)["password"]) if content else ""
