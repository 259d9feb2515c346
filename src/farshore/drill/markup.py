"""The two shapes of HTML the report repeats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


def section(name: str, body: str) -> str:
    return f"<section><h2>{escape(name)}</h2>{body}</section>"


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead to a page when clicked; nothing is fetched before."""

    words: str
    url: str


def table(
    name: str, head: Sequence[tuple[str, str]], rows: Iterable[Sequence[tuple[str | Link, str]]]
) -> str:
    """`head` and each row pair words with a class; a phone shows each row as a card with the head's words."""
    top = "".join(f'<th scope="col"{_class(kind)}>{escape(words)}</th>' for words, kind in head)
    body = "".join(
        "<tr>"
        + "".join(_cell(label, words, kind) for (label, _), (words, kind) in zip(head, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(label: str, words: str | Link, kind: str) -> str:
    shown = words if isinstance(words, str) else words.words
    inner = f"<span>{escape(shown)}</span>"
    if isinstance(words, Link):
        inner = f'<a href="{escape(words.url)}">{escape(shown)}</a>'
    return f'<td{_class(kind)} data-label="{escape(label)}">{inner}</td>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
