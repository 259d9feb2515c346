"""The functions' code: the bundle of farshore's handlers, with the database's certificates beside it."""

import functools
import io
import tempfile
import zipfile
from pathlib import Path

import pulumi

from farshore.lambdas import bundle

CA_NAME = "rds-ca.pem"
CA_IN_FUNCTION = f"/var/task/{CA_NAME}"
"""Lambda unpacks a bundle there. https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def archive(ca_file: str | None) -> pulumi.FileArchive:
    """Without certificates, in a preview only (`load.from_pulumi`), an empty file holds their place."""
    return pulumi.FileArchive(str(_written(Path(ca_file).read_bytes() if ca_file else b"")))


def warn_if_foreign() -> None:
    if not bundle.for_lambda():
        pulumi.log.warn(
            "the bundle holds this computer's wheels; AWS needs one made by Python 3.11 on Linux x86-64"
        )


@functools.cache
def _written(certificates: bytes) -> Path:
    packed = io.BytesIO(bundle.build())
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as opened:
        entry = zipfile.ZipInfo(CA_NAME, _EPOCH)
        entry.external_attr = 0o644 << 16
        opened.writestr(entry, certificates)
    path = Path(_directory().name) / "functions.zip"
    path.write_bytes(packed.getvalue())
    return path


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    """Lives as long as the program, which ends after its last resource is made."""
    return tempfile.TemporaryDirectory(prefix="farshore-functions-")
