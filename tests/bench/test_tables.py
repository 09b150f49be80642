"""The tables in the documents are those that the stored results give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calotype.bench import tables

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_documents_hold_what_the_results_give() -> None:
    checked = 0
    for document in DOCUMENTS:
        for kind, name, shown in tables.marked(document):
            expected = tables.made(kind, name, ROOT / "docs" / "results")
            assert shown.rstrip() == expected.rstrip(), f"{document.name}: regenerate {kind} {name}"
            checked += 1
    assert checked >= 2


def test_short_table_has_our_packs_beside_five_others_at_most_and_needs_jpeg(tmp_path: Path) -> None:
    kodak, large = (ROOT / "docs" / "results" / name for name in ("kodak", "large"))
    text = tables.short([kodak, large])
    rows = [
        line for line in text.splitlines() if line.startswith("| **calotype") or line.startswith("| avif")
    ]
    assert 3 <= len(rows) <= 5
    full = next(line for line in tables.table(large).splitlines() if line.startswith("| avif-444 |"))
    rate = float(full.split("|")[2].split("%")[0])  # PSNR, against jpeg-444
    assert f"{rate:.0f} %" in next(row for row in rows if row.startswith("| avif-444 |"))
    found = json.loads((large / "results.json").read_text())
    del found["codecs"]["jpeg-444"]
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "results.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="lacking: cannot be compared with jpeg-444"):
        tables.short([tmp_path / "lacking"])


def test_a_run_renews_every_place_that_it_has_a_part_in(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("<!-- short:kodak+large -->\n<!-- end -->\n<!-- table:large -->\n<!-- end -->\n")
    assert tables.main([str(ROOT / "docs" / "results" / "large"), str(document)]) == 0
    assert [bool(text) for _, _, text in tables.marked(document)] == [True, True]
    assert tables.main([str(ROOT / "docs" / "results" / "samples"), str(document)]) == 1


def test_insert_replaces_only_the_marked_place(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- table:x -->\nold\n<!-- end -->\nafter\n")
    assert tables.insert(document, "x", "| new |")
    assert document.read_text() == "before\n<!-- table:x -->\n| new |\n<!-- end -->\nafter\n"
    assert not tables.insert(document, "x", "| new |")
    with pytest.raises(ValueError, match="no place marked"):
        tables.insert(document, "y", "text")
