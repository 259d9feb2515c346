"""The pages in a real browser, wide and narrow: nothing on its console, and nothing to scroll sideways."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest
from benchmarks.peers import page as peers_page
from benchmarks.peers.systems import ALL
from benchmarks.peers.table import WORDS
from sample import SMALL_REPORT, report_data
from test_matrix import matrix, row
from typer.testing import CliRunner

from benchmarks.test_peers import ran
from benchmarks.test_peers import report as peers_report
from farshore.cli.app import app
from farshore.drill import matrixpage, report
from farshore.drill.scenarios import SCENARIOS

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 390)
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom",
)  # fmt: skip
# A window is never narrower than some 500 pixels; a frame is as narrow as it is told to be.
MEASURE = """<script>addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const seen = frame.contentDocument.documentElement;
    console.log(`measured ${frame.width} ${seen.clientWidth} ${seen.scrollWidth} ${seen.scrollHeight}`);
  }
});</script>"""
SAID = re.compile(r':CONSOLE[:(]\d+\)?\] "(.*)", source: ')

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")


def drill_page(tmp_path: Path) -> str:
    return report.write(tmp_path, report_data(SMALL_REPORT))[1].read_text()


def matrix_page(tmp_path: Path) -> str:
    report.write(tmp_path / "region-loss", report_data(SMALL_REPORT))
    return matrixpage.render(matrix(*(row(tmp_path, name) for name in SCENARIOS), not_run=("wan-cut",)))


def peers_chart(_: Path) -> str:
    runs = (ran(system.name, scenario, 3.0) for system in ALL for scenario in WORDS)
    return peers_page.render(peers_report(*runs))


def availability_page(tmp_path: Path) -> str:
    done = CliRunner().invoke(
        app, ["simulate", "availability", "--years", "300", "--report", str(tmp_path), "--json"]
    )
    assert done.stdout, done.output
    return (tmp_path / "availability.html").read_text()


def seen(page: str, directory: Path) -> tuple[list[str], dict[int, tuple[int, int, int]]]:
    """What the console says, and for each width the document's own, what it would take, and its height."""
    frames = (f'<iframe width="{width}" height="900" srcdoc="{escape(page)}"></iframe>' for width in WIDTHS)
    path = directory / "frames.html"
    path.write_text(f'<!doctype html><meta charset="utf-8">{"".join(frames)}{MEASURE}')
    profile = f"--user-data-dir={directory / 'profile'}"
    command = [str(BROWSER), *OPTIONS, profile, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said = SAID.findall(done.stderr)
    measured = [
        tuple(map(int, words.split()[1:])) for words in said if re.fullmatch(r"measured( \d+){4}", words)
    ]
    assert [width for width, *_ in measured] == list(WIDTHS), done.stderr
    sizes = {width: (own, taken, height) for width, own, taken, height in measured}
    return [words for words in said if not words.startswith("measured ")], sizes


@pytest.mark.parametrize("make", [drill_page, matrix_page, peers_chart, availability_page])
def test_a_page_is_quiet_and_fits_a_desk_and_a_telephone(make, tmp_path):
    said, sizes = seen(make(tmp_path), tmp_path)
    assert said == []
    for width, (own, taken, height) in sizes.items():
        assert width - 20 <= own <= width, "all but a scroll bar is the page's"
        assert taken <= own, f"at {width} pixels there is something to scroll sideways"
        assert height > 900


def test_what_a_page_may_not_do_would_be_seen(tmp_path):
    wide = '<p style="width: 600px">wide</p><script>console.warn("warned"); nothing.at.all</script>'
    said, sizes = seen(wide, tmp_path)
    assert said == 2 * ["warned", "Uncaught ReferenceError: nothing is not defined"]  # once in each frame
    assert sizes[1280][1] == sizes[1280][0]
    assert sizes[390][1] > sizes[390][0]
