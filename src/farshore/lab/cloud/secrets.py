"""Secrets Manager overlay: a replica keeps the key it was asked to be encrypted with, which moto drops.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ReplicaRegionType.html
"""

import json
from typing import Any

from moto.secretsmanager import urls
from moto.secretsmanager.models import ReplicaSecret, secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

from farshore.lab.cloud.overlay import swap


class LabSecrets(SecretsManagerResponse):
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


def install() -> None:
    swap(urls, LabSecrets)
