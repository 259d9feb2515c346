"""The bundle is repeatable, whole, and light."""

import io
import subprocess
import sys
import zipfile

import pytest

from farshore.lambdas import bundle


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    zipfile.ZipFile(io.BytesIO(bundle.build())).extractall(folder)
    return folder


def test_the_same_installation_gives_the_same_bytes():
    assert bundle.build() == bundle.build()


def test_it_carries_no_lab_no_drill_and_no_boto3(unpacked):
    assert {path.name for path in (unpacked / "farshore").iterdir() if path.is_dir()} == set(bundle.MODULES)
    assert not (unpacked / "boto3").exists()


@pytest.mark.parametrize("handler", ["authority", "controller", "failover", "monitor", "rotation"])
def test_its_handlers_import_with_nothing_but_the_runtimes_boto3(unpacked, handler):
    """-I keeps this repository and the user's site out; the interpreter's own site stands for the runtime."""
    program = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import farshore.lambdas.{handler} as h, psycopg, dns; "
        f"assert all(m.__file__.startswith({str(unpacked)!r}) for m in (h, psycopg, dns)); "
        "assert psycopg.pq.__impl__ == 'binary'"
    )
    subprocess.run([sys.executable, "-I", "-c", program], check=True)


def test_it_fits_lambda(unpacked):
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB unzipped."""
    assert sum(path.stat().st_size for path in unpacked.rglob("*") if path.is_file()) < 250_000_000
