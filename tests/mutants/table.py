"""Prints docs/mutants.md: `python -m mutants.table` in tests/."""

from mutants.catalogue import MUTANTS

HEAD = """# Deliberate breakages, and what catches them

A checker that nothing can fail proves nothing. Each row below breaks the product in one place, in a copy of the package
(`tests/mutants/breaking.py`), and the tests named must then go red: `make soak ARGS=tests/mutants` tries all {count},
`make test` a sample. P1 to P8 are the promises, H1 to H17 the [holes](holes.md) that the broken line closes.

| Guards | Broken on purpose | In | Caught by |
| --- | --- | --- | --- |
"""


def table() -> str:
    rows = [
        f"| {one.promise} | {one.what} | `{one.path.removeprefix('src/farshore/')}` "
        f"| `{one.caught_by.replace('tests/', '').replace('|', ', ')}` |"
        for one in MUTANTS
    ]
    return HEAD.format(count=len(MUTANTS)) + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
