"""Generated Markdown: wrapped prose and tables."""

from __future__ import annotations

import pytest

from calotype.records.markdown import table, wrapped


def test_wrapped() -> None:
    assert wrapped("  one\n   two-three four  ", 9) == ["one", "two-three", "four"]
    assert wrapped("one two three", 7, "* ") == ["* one", "  two", "  three"]
    assert max(map(len, wrapped("word " * 100))) <= 120


def test_table() -> None:
    rows = [["a", "1"], ["bcd", "23456"]]
    assert table(["x", "y"], rows) == ["| x | y |", "| --- | ---: |", "| a | 1 |", "| bcd | 23456 |"]
    assert table(["x", "y"], [], "rl") == ["| x | y |", "| ---: | --- |"]
    assert table(["x", "y"], rows, padded=True) == [
        "| x   |     y |",
        "|-----|------:|",
        "| a   |     1 |",
        "| bcd | 23456 |",
    ]
    for bad in ([["a"]], [["a", "b", "c"]]):
        with pytest.raises(ValueError, match="2 columns"):
            table(["x", "y"], bad)
