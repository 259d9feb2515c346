"""Builds the Lambda bundle: farshore's own handlers and the few wheels they need, byte for byte repeatable.

The wheels are copied from this interpreter's installation. On CPython 3.11, x86-64 Linux these are the very files
that Lambda's Python 3.11 runs (boto3 comes with the runtime); elsewhere the bundle serves the lab only, and
`for_lambda` says so. https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
"""

import io
import platform
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import farshore

DISTRIBUTIONS = ("psycopg", "psycopg-binary", "typing_extensions", "dnspython")
MODULES = ("core", "aws", "postgres", "lambdas")
FILES = (
    "__init__",
    "clock",
    "controller",
    "log",
    "monitor",
    "names",
    "ports",
    "requester",
    "prober",
    "resolve",
    "settings",
    "survive",
    "workshop",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def for_lambda() -> bool:
    """Whether a bundle made here is the exact one for Lambda's python3.11 on x86-64."""
    return sys.version_info[:2] == (3, 11) and sys.platform == "linux" and platform.machine() == "x86_64"


def build() -> bytes:
    """The bundle as a zip archive; the same installation always gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in sorted(_own_files() | _wheel_files()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


def _own_files() -> set[tuple[str, Path]]:
    root = Path(farshore.__file__).parent
    found = {root / f"{name}.py" for name in FILES}
    for module in MODULES:
        found |= {path for path in (root / module).rglob("*") if path.suffix in {".py", ".sql"}}
    return {(str(path.relative_to(root.parent)), path) for path in found}


def _wheel_files() -> set[tuple[str, Path]]:
    found = set()
    for distribution in DISTRIBUTIONS:
        for file in metadata.files(distribution) or ():
            name = str(file)
            if not name.startswith("..") and "__pycache__" not in name:
                found.add((name, Path(str(file.locate()))))
    return found
