"""Plays the shell blocks of docs/by-hand.md in one terminal, and holds what they print against the text below them."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from transcript import Player

DOCUMENT = Path(__file__).parents[2] / "docs" / "by-hand.md"
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (\d+)\..*$", re.MULTILINE)
_MARK = "--- end of block"

DIG = """#!{python}
import sys
import dns.resolver
asked = dns.resolver.Resolver(configure=False)
asked.nameservers, asked.port, asked.lifetime = [{host!r}], {port}, 5
assert sys.argv[1] == "+short", "this stand-in knows `dig +short NAME` only"
try:
    for answer in asked.resolve(sys.argv[2], "A").response.answer:
        for one in answer:
            print(one.to_text())
except dns.exception.DNSException as error:
    sys.exit(str(error))
"""


@dataclass(frozen=True)
class Block:
    """One block of commands; `expected`: the lines that it prints, None where the document does not say."""

    section: int
    commands: str
    expected: tuple[str, ...] | None


def blocks() -> Iterator[Block]:
    text = DOCUMENT.read_text()
    starts = [(int(found[1]), found.start()) for found in _SECTION.finditer(text)]
    found = list(_BLOCK.finditer(text))
    for number, block in enumerate(found):
        if block[1] != "sh":
            continue
        section = max((start, name) for name, start in starts if start < block.start())[1]
        following = found[number + 1] if number + 1 < len(found) else None
        told = following[2].splitlines() if following and following[1] == "text" else None
        yield Block(section, block[2], None if told is None else tuple(told))


def sections() -> set[int]:
    return {block.section for block in blocks()}


def tools(directory: Path, nameserver: str, psql: Path) -> Path:
    """`dig` as it is inside the VPC, where the resolver knows the private zone, and the lab's own `psql`."""
    place = directory / "tools"
    place.mkdir()
    (place / "psql").symlink_to(psql)
    host, _, port = nameserver.partition(":")
    real = shutil.which("dig")
    script = f'#!/bin/sh\nexec {real} @{host} -p {port} "$@"\n' if real else DIG
    dig = place / "dig"
    dig.write_text(script if real else script.format(python=sys.executable, host=host, port=int(port)))
    dig.chmod(0o755)
    return place


class Terminal:
    """One POSIX shell for all blocks; the first command that fails ends it, and the test with it."""

    def __init__(self, environment: dict[str, str], directory: Path, known: dict[str, str]) -> None:
        self.played: set[int] = set()
        self.known = known
        self._directory = directory
        self._shell = subprocess.Popen(
            ["/bin/sh", "-e"],
            env=environment,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._shell.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait(10)

    def play(self, section: int, timeout_s: float = 60) -> list[str]:
        """Every line that the section's blocks printed."""
        printed: list[str] = []
        for block in blocks():
            if block.section == section:
                printed += self._run(block, timeout_s)
        assert section in sections()
        self.played.add(section)
        return printed

    def _run(self, block: Block, timeout_s: float) -> list[str]:
        commands = re.sub(r"<([A-Za-z][\w-]*)>", lambda word: self.known[word[1]], block.commands)
        script = self._directory / "block.sh"
        script.write_text(commands)
        assert self._shell.stdin is not None
        self._shell.stdin.write(f". ./{script.name} < /dev/null\necho '{_MARK}'\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        while (line := self._next(timeout_s, commands, printed)) != _MARK:
            assert line is not None, f"section {block.section} failed:\n{commands}\nprinted\n" + "\n".join(
                printed
            )
            printed.append(line)
        self._compare(block, printed)
        return printed

    def _next(self, timeout_s: float, commands: str, printed: list[str]) -> str | None:
        try:
            return self._lines.get(timeout=timeout_s)
        except Empty:
            raise AssertionError(f"no end of:\n{commands}\nprinted\n" + "\n".join(printed)) from None

    def _compare(self, block: Block, printed: list[str]) -> None:
        if block.expected is None:
            return
        player = Player({}, self._directory, self.known)
        told = "\n".join(printed)
        found = re.fullmatch(player._expression(block.expected), told)
        assert found, f"{block.commands}\nprinted\n{told}\nand not\n" + "\n".join(block.expected)
        self.known |= {name.replace("_", "-"): value for name, value in found.groupdict().items()}


def environment(lab_words: str, place: Path) -> dict[str, str]:
    """What a shell has after `eval "$(farshore lab env)"`, with `place` first on its PATH."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.defpath))
    shell = subprocess.run(
        ["/bin/sh", "-c", f"{lab_words}\nenv -0"], env={"PATH": path}, capture_output=True, check=True
    )
    pairs = (entry.partition("=") for entry in shell.stdout.decode().split("\0") if entry)
    found = {name: value for name, _, value in pairs}
    return {**found, "PATH": f"{place}{os.pathsep}{found['PATH']}"}
