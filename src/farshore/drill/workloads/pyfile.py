"""A workload from a Python file: two constants and four functions."""

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from farshore.drill.errors import DrillUsageError
from farshore.drill.workloads.own import KeyColumn, Parts, checked_tables, refuse

_FUNCTIONS = {
    "setup": "setup(connection)",
    "write": "write(connection, key, choose)",
    "probe": "probe(connection)",
    "invariant": "invariant(connection)",
}


def from_python(name: str, path: Path, text: str) -> Parts:
    """What the file defines; DrillUsageError naming file, part and fix. The file is run, as any program is."""
    module = _run(name, path, text)
    tables = checked_tables(name, _constant(name, module, "GUARDED_TABLES", 'a tuple, ("schema.table", ...)'))
    wanted = 'two words, ("schema.table", "column"): the table whose rows are the writes and its primary key'
    match _constant(name, module, "KEY", wanted):
        case (str(table), str(column)) if table in tables and column:
            key = KeyColumn(table, column)
        case other:
            refuse(name, "KEY", f"{other!r} is not {wanted}, and the table is one of GUARDED_TABLES")
    found = {part: _function(name, module, part, form) for part, form in _FUNCTIONS.items()}
    return Parts(tables, key, found["setup"], found["write"], found["probe"], found["invariant"])


def _run(name: str, path: Path, text: str) -> ModuleType:
    module = ModuleType(f"farshore_workload_{path.stem}")
    module.__file__ = str(path)
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the team's own file, as it asked
    except SyntaxError as error:
        refuse(name, f"line {error.lineno}", f"{error.msg}; mend the Python there")
    except Exception as error:
        said = f"it does not load: {type(error).__name__}: {error}; mend it so that it can be imported"
        raise DrillUsageError("--workload", name, said) from error
    return module


def _constant(name: str, module: ModuleType, part: str, wanted: str) -> tuple[Any, ...]:
    value = getattr(module, part, None)
    if not isinstance(value, tuple | list):
        refuse(name, part, f"{'missing' if value is None else repr(value)}; define it as {wanted}")
    return tuple(value)


def _function(name: str, module: ModuleType, part: str, form: str) -> Any:
    value = getattr(module, part, None)
    if not callable(value):
        refuse(name, part, f"missing; define {form}")
    try:
        inspect.signature(value).bind(*range(form.count(",") + 1))
    except TypeError:
        refuse(name, part, f"it does not take the arguments that it is given; define {form}")
    return value
