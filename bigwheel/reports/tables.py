"""Tables of a page. Whatever text goes into a cell is escaped here and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MINUS = "\u2212"
NONE = "\u2013"


class Cell(NamedTuple):
    """A text with its tone: ``up``, ``down``, ``words`` or none; ``heat`` in 0..1 colours its ground."""

    text: str
    tone: str = ""
    heat: float | None = None


def escape(value: Any) -> str:
    return html.escape(str(value))


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, kind: str = "", words: frozenset[int] = frozenset()
) -> str:
    """A table that scrolls sideways where it is too wide; columns whose place is in ``words`` hold text."""
    top = "".join(
        f'<th class="words">{escape(h)}</th>' if i in words else f"<th>{escape(h)}</th>" for i, h in enumerate(heads)
    )
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    if not body:
        return '<p class="empty">None.</p>'
    head = f"<thead><tr>{top}</tr></thead>" if any(heads) else ""
    return f'<div class="scroll"><table class="{escape(kind)}">{head}<tbody>{body}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    names = f"{cell.tone} heat" if cell.heat is not None else cell.tone
    style = f' style="--heat:{cell.heat:.2f}"' if cell.heat is not None else ""
    return f'<td class="{escape(names)}"{style}>{escape(cell.text)}</td>' if names else f"<td>{escape(cell.text)}</td>"


def text(value: Any) -> Cell:
    return Cell(str(value))


def words(value: Any) -> Cell:
    return Cell(str(value), "words")


def count(value: int | None) -> Cell:
    return Cell(NONE if value is None else f"{value:,}")


def number(value: float | None, *, tone: bool = False) -> Cell:
    """A figure with two decimals, coloured by its sign where ``tone`` asks for it."""
    return _number(value, f"{value or 0.0:,.2f}", tone)


def share(value: float | None, *, tone: bool = False, digits: int = 2) -> Cell:
    """A fraction in percent."""
    return _number(value, f"{100 * (value or 0.0):,.{digits}f}%", tone)


def _number(value: float | None, shown: str, tone: bool) -> Cell:
    if value is None:
        return Cell(NONE)
    zero = not any(digit in "123456789" for digit in shown)
    sign = "" if not tone or zero else "up" if value > 0 else "down"
    return Cell(shown.lstrip("-") if zero else shown.replace("-", MINUS), sign)
