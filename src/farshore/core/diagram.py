"""The state diagram, drawn from the transition table; docs/state-diagram.md holds it and a test compares."""

from farshore.core.transitions import TABLE, Action


def mermaid() -> str:
    """A Mermaid state diagram: one edge per row, labelled with the row's name and what is done."""
    edges = []
    for row in TABLE:
        done = "" if row.action is Action.NOTHING else f" / {row.action}"
        edges.append(f"    {row.source} --> {row.target}: {row.name}{done}")
    return "\n".join(["stateDiagram-v2", "    [*] --> HELD: first-boot / renew", *edges])


def table() -> str:
    """The rows as a Markdown table, in the order in which they are tried."""
    rows = [f"| {row.source} | {row.target} | {row.name} | {row.action} | {row.reason} |" for row in TABLE]
    return "\n".join(
        [
            "| from | to | row | does | reason, as the operator reads it |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def document() -> str:
    return (
        "# The states of authority\n\n"
        "Generated from `src/farshore/core/transitions.py` by `python -m farshore.core.diagram`; a test compares.\n"
        "Rows are tried from the top, the first whose condition holds is taken.\n\n"
        f"```mermaid\n{mermaid()}\n```\n\n{table()}\n"
    )


if __name__ == "__main__":
    print(document(), end="")
