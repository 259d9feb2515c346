"""Secrets Manager overlay: rotation runs for real, and a replica keeps its key, which moto drops.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ReplicaRegionType.html
"""

import json
from typing import Any, ClassVar

from moto.secretsmanager import urls
from moto.secretsmanager.models import FakeSecret, ReplicaSecret, secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

from farshore.lab.cloud import rotation
from farshore.lab.cloud.lambdas import Lambdas
from farshore.lab.cloud.overlay import swap


class LabSecrets(SecretsManagerResponse):
    lambdas: ClassVar[Lambdas]

    def rotate_secret(self) -> str:
        return rotation.rotate(self.backend, self.lambdas, json.loads(self.body))

    def update_secret_version_stage(self) -> str:
        answer = super().update_secret_version_stage()
        moved = self.backend.secrets[json.loads(self.body)["SecretId"]]
        if isinstance(moved, FakeSecret):
            rotation.settle(moved)
        return str(answer)

    def create_secret(self) -> str:
        return self._with_keys(super().create_secret())

    def replicate_secret_to_regions(self) -> str:
        return self._with_keys(super().replicate_secret_to_regions())

    def _with_keys(self, answer: Any) -> str:
        name = json.loads(answer)["ARN"]
        for wanted in json.loads(self.body).get("AddReplicaRegions") or ():
            if wanted.get("KmsKeyId"):
                place = secretsmanager_backends[self.current_account][wanted["Region"]]
                found = place.secrets.get(name.replace(f":{self.region}:", f":{wanted['Region']}:"))
                if isinstance(found, ReplicaSecret):
                    found.config["KmsKeyId"] = wanted["KmsKeyId"]
        return str(answer)


def install(lambdas: Lambdas) -> None:
    """Put the overlay into moto's url table; before the first request."""
    swap(urls, type("LabSecrets", (LabSecrets,), {"lambdas": lambdas}))
