"""The tables in the documents are those that the stored results give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calotype.bench import tables

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_documents_hold_what_the_results_give() -> None:
    checked = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        marks = re.findall(r"<!-- (table|command):(\w+) -->\n(.*?)<!-- end -->", text, re.DOTALL)
        for kind, name, shown in marks:
            folder = ROOT / "docs" / "results" / name
            expected = {"table": tables.table, "command": tables.command}[kind](folder)
            assert shown.rstrip() == expected.rstrip(), f"{document.name}: regenerate {kind} {name}"
            checked += 1
    assert checked >= 2


def test_insert_replaces_only_the_marked_place(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- table:x -->\nold\n<!-- end -->\nafter\n")
    assert tables.insert(document, "x", "| new |")
    assert document.read_text() == "before\n<!-- table:x -->\n| new |\n<!-- end -->\nafter\n"
    assert not tables.insert(document, "x", "| new |")
    with pytest.raises(ValueError, match="no place marked"):
        tables.insert(document, "y", "text")
