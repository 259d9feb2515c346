"""A workload from an SQL file with named sections, in the words of psql and pgbench."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from farshore.drill.workloads.own import KeyColumn, Parts, checked_tables, refuse

SECTIONS = ("guard", "setup", "write", "probe", "invariant")
_HEAD = re.compile(r"^--\s*farshore\s*:\s*(.*?)\s*$", re.IGNORECASE)
_SET = re.compile(r"^\s*\\set\s+(\w+)\s+random\(\s*(-?\d+)\s*,\s*(-?\d+)\s*\)\s*$")
# What is quoted or a comment stays as it is; `::` is a cast and no parameter.
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
    r"""|::|:(?P<name>[A-Za-z_]\w*)|(?P<end>;)""",
    re.DOTALL,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with psycopg's placeholders, and the parameters it names."""

    text: str
    names: frozenset[str]

    def run(self, connection: psycopg.Connection[Any], values: Mapping[str, object]) -> psycopg.Cursor[Any]:
        """Execute it with those of the values that it names."""
        return connection.execute(self.text.encode(), {name: values[name] for name in self.names})


@dataclass(frozen=True, slots=True)
class Writing:
    """The section `write`: statements of one transaction, and the bounds of its random numbers."""

    statements: tuple[Statement, ...]
    bounds: Mapping[str, tuple[int, int]]

    def __call__(self, connection: psycopg.Connection[Any], key: str, choose: random.Random) -> None:
        values: dict[str, object] = {"key": key}
        values |= {name: choose.randint(low, high) for name, (low, high) in self.bounds.items()}
        for statement in self.statements:
            statement.run(connection, values)


def from_sql(name: str, text: str) -> Parts:
    """What the file's sections say; DrillUsageError naming file, part and fix."""
    sections = _sections(name, text)
    tables, key = _guard(name, sections["guard"])
    if not statements_of(sections["setup"]):
        refuse(name, "setup", "it is empty; create the tables there")
    setup = sections["setup"].encode()
    probes = _questions(name, "probe", sections["probe"])
    if len(probes) != 1:
        refuse(
            name, "probe", f"{len(probes)} statements; write one SELECT that returns every key that is there"
        )
    questions = _questions(name, "invariant", sections["invariant"])
    return Parts(
        guarded=tables,
        key=key,
        setup=lambda connection: connection.execute(setup),
        write=_writing(name, sections["write"]),
        probe=lambda connection: [row[0] for row in probes[0].run(connection, {})],
        invariant=lambda connection: _complaints(connection, questions),
    )


def statements_of(text: str) -> list[Statement]:
    """The statements of a section, split at each `;` outside quotes and comments."""
    found: list[Statement] = []
    words: list[str] = []
    names: set[str] = set()

    def end() -> None:
        made = "".join(words).strip()
        if _COMMENT.sub("", made).strip():
            found.append(Statement(made, frozenset(names)))
        words.clear()
        names.clear()

    at = 0
    for token in _TOKEN.finditer(text):
        words.append(text[at : token.start()].replace("%", "%%"))
        at = token.end()
        if token["name"]:
            names.add(token["name"])
            words.append(f"%({token['name']})s")
        elif token["end"]:
            end()
        else:
            words.append(token[0].replace("%", "%%"))
    words.append(text[at:].replace("%", "%%"))
    end()
    return found


def _sections(name: str, text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] = []  # what stands before the first section is for people
    for number, line in enumerate(text.splitlines(), start=1):
        head = _HEAD.match(line)
        if head is None:
            current.append(line)
            continue
        section = head[1].lower()
        if section not in SECTIONS:
            refuse(name, f"line {number}", f"no section is called {section!r}; use {', '.join(SECTIONS)}")
        if section in found:
            refuse(name, f"line {number}", f"{section} stands there twice; make it one section")
        current = found[section] = []
    for section in SECTIONS:
        if section not in found:
            refuse(
                name, section, f"missing; add a section that begins with the line `-- farshore: {section}`"
            )
    return {section: "\n".join(lines) for section, lines in found.items()}


def _guard(name: str, text: str) -> tuple[tuple[str, ...], KeyColumn]:
    tables: list[str] = []
    keys: list[KeyColumn] = []
    for line in _COMMENT.sub("", text).splitlines():
        match line.split():
            case []:
                continue
            case [table]:
                tables.append(table)
            case [table, "key", column]:
                tables.append(table)
                keys.append(KeyColumn(table, column))
            case _:
                refuse(name, "guard", f"{line.strip()!r}: write `schema.table` or `schema.table key column`")
    checked = checked_tables(name, tables)
    if len(keys) != 1:
        refuse(name, "guard", f"{len(keys)} lines name a key; write `schema.table key column` for one table")
    return checked, keys[0]


def _writing(name: str, text: str) -> Writing:
    bounds: dict[str, tuple[int, int]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if not line.lstrip().startswith("\\"):
            lines.append(line)
            continue
        one = _SET.match(line)
        if one is None or int(one[2]) > int(one[3]):
            refuse(name, "write", f"{line.strip()!r}: write \\set NAME random(LOW, HIGH), in whole numbers")
        bounds[one[1]] = (int(one[2]), int(one[3]))
    statements = tuple(statements_of("\n".join(lines)))
    named = frozenset().union(*(statement.names for statement in statements))
    unknown = sorted(named - bounds.keys() - {"key"})
    if unknown:
        refuse(name, "write", f":{unknown[0]} is not set; add \\set {unknown[0]} random(LOW, HIGH)")
    if "key" not in named:
        refuse(name, "write", "it does not use :key; insert :key, so that each write can be found again")
    return Writing(statements, bounds)


def _questions(name: str, part: str, text: str) -> tuple[Statement, ...]:
    statements = tuple(statements_of(text))
    if not statements:
        refuse(name, part, "it is empty; write a SELECT there")
    for statement in statements:
        if statement.names:
            refuse(name, part, f":{min(statement.names)} has no value there; only write has parameters")
    return statements


def _complaints(connection: psycopg.Connection[Any], questions: Sequence[Statement]) -> Iterator[str]:
    """Each row is one thing that is wrong, told by its columns."""
    for question in questions:
        cursor = question.run(connection, {})
        heads = [column.name for column in cursor.description or ()]
        for row in cursor:
            told = (f"{head} {value}" for head, value in zip(heads, row, strict=True))
            yield str(row[0]) if len(row) == 1 else ", ".join(told)
