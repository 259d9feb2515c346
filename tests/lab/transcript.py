"""Plays a transcript: commands after `$`, and below each what it must print."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WORD = re.compile(r"<([A-Za-z][\w-]*)>")
_SET = re.compile(r"export (\w+)=(.*)")


@dataclass(frozen=True)
class Step:
    """A command as it is written, with the lines that follow it up to the next empty line or command."""

    command: str
    expected: tuple[str, ...]


def read(path: Path) -> Iterator[Step]:
    """Prose is whatever stands apart: a paragraph that no command begins. A paragraph after an empty line belongs to
    the command before it only when it reports an error."""
    lines = [*path.read_text().splitlines(), "$ "]
    command: list[str] = []
    expected: list[str] = []
    printing = False
    for line in lines:
        if line.startswith("$ "):
            if command:
                yield Step("\n".join(command), tuple(expected))
            command, expected, printing = [line[2:]], [], True
        elif command and command[-1].endswith("\\"):
            command.append(line)
        elif line.startswith("An error occurred") or (printing and line):
            expected.append(line)
        else:
            printing = False


class Player:
    """Runs the commands of one terminal, one after the other, and learns the <words> they print."""

    def __init__(self, environment: dict[str, str], directory: Path, known: dict[str, str]) -> None:
        self.environment = environment
        self.known = known
        self._directory = directory

    def play(self, step: Step) -> str:
        """Returns what was printed; fails when it is not what the transcript says."""
        command = _WORD.sub(lambda word: self.known[word[1]], step.command)
        if setting := _SET.fullmatch(command):
            self.environment[setting[1]] = setting[2]
            return ""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=self.environment,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        printed = (done.stdout + done.stderr).strip("\n")
        found = re.fullmatch(self._expression(step.expected), printed)
        assert found, f"$ {command}\nprinted\n{printed}\nand not\n" + "\n".join(step.expected)
        self.known |= {name.replace("_", "-"): value for name, value in found.groupdict().items()}
        return printed

    def _expression(self, expected: tuple[str, ...]) -> str:
        """`...` stands for any lines, a known word for itself, a new one for anything in its line."""
        new: set[str] = set()

        def word(name: str) -> str:
            if name in self.known:
                return re.escape(self.known[name])
            group = name.replace("-", "_")
            if group in new:
                return f"(?P={group})"
            new.add(group)
            return f"(?P<{group}>[^\\n]*?)"

        parts = []
        for line in expected:
            if line == "...":
                parts.append(r"(?:[^\n]*\n)*?")
                continue
            pieces = _WORD.split(line)
            rebuilt = "".join(
                word(piece) if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
            )
            parts.append(rebuilt + r"\n")
        return "".join(parts).removesuffix(r"\n") if expected[-1:] != ("...",) else "".join(parts) + r"[^\n]*"
