"""The Markdown of generated pages: wrapped prose and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence


def wrapped(text: str, width: int = 120, first: str = "") -> list[str]:
    """Lines of at most ``width`` characters; white space in ``text`` counts as one space.

    ``first`` stands before the first line ("* "); the others are indented by as much.
    """
    return textwrap.wrap(
        " ".join(text.split()),
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], align: str = "", *, padded: bool = False
) -> list[str]:
    """Lines of a table.

    align: a letter per column, "l" or "r"; by default only the first column is on the left.
    padded: columns line up in the text, too, for a terminal.

    Raises:
        ValueError: for a row, or ``align``, of another length than the heads.
    """
    lines = [list(heads), *map(list, rows)]
    right = [letter == "r" for letter in align or "l" + "r" * (len(heads) - 1)]
    if any(len(line) != len(right) for line in lines):
        raise ValueError(f"a table of {len(right)} columns needs as many cells in every row")
    if not padded:
        rule = ["---:" if r else "---" for r in right]
        return [f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])]
    widths = [max(map(len, column)) for column in zip(*lines)]
    told = [
        f"| {' | '.join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right))} |"
        for line in lines
    ]
    dashes = "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right))
    return [told[0], f"|{dashes}|", *told[1:]]
