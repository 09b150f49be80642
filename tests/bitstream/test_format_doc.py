"""docs/FORMAT.md names the fields as the code does."""

from __future__ import annotations

import re
from pathlib import Path

from calotype.bitstream import Header, Limits, probe, write
from calotype.bitstream.fields import MAX_LEADING, NAMES, OPTIONAL_BIT, VERSION

TEXT = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert match, f"no section {title}"
    return match.group(1)


def first_column(text: str, heading: str) -> list[str]:
    """The back-quoted names in the first column of the table whose first header is ``heading``."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    (table,) = (t for t in tables if t.startswith(f"| {heading} |"))
    return re.findall(r"^\| `(\w+)` \|", table, re.M)


def report() -> dict[str, object]:
    return probe(write(Header(768, 512, 5, b"PACK"), [b"payload"], icc=b"icc"))


def test_names_of_the_file_are_those_of_probe() -> None:
    named = first_column(section("Header"), "field")
    named += first_column(section("What `calotype probe` adds"), "field")
    assert named == list(report())


def test_names_of_a_chunk_are_those_of_probe() -> None:
    stored = first_column(section("Chunks"), "field")
    assert stored == ["type", "length", "payload", "crc"]
    added = re.findall(r"`(\w+)`", section("What `calotype probe` adds").split("\n| ")[0])
    shown = (set(stored) | set(added)) - {
        "payload",
        "unknown",
    }  # the payload is not shown; unknown is a value
    chunks = report()["chunks"]
    assert isinstance(chunks, list)
    for chunk in chunks:
        assert set(chunk) == shown


def test_names_of_the_header_are_those_of_the_code() -> None:
    in_code = {*Header._fields} | {"magic", "version", "flags"}
    assert set(first_column(section("Header"), "field")) == in_code


def test_chunk_types() -> None:
    rows = re.findall(r"^\| 0x(\w\w) \| (\w+) \|", section("Chunks"), re.M)
    assert {int(type_, 16): name for type_, name in rows} == NAMES
    assert OPTIONAL_BIT == 0x80
    assert re.search(rf"\b{MAX_LEADING} chunks\b", section("Chunks"))


def test_limits() -> None:
    rows = re.findall(r"^\| `(\w+)` \| 2\^(\d+) \|", section("Readers"), re.M)
    assert {name: 2 ** int(log2) for name, log2 in rows} == Limits._field_defaults


def test_version() -> None:
    assert re.match(rf"# .*\b{VERSION}\n", TEXT)
    assert f"| `version` | 1 | {VERSION} |" in TEXT


def test_probe_values() -> None:
    data = write(Header(2500, 1025, 1408, b"PACK", grey=True), [b"x"] * 6, icc=b"icc")
    found = probe(data)
    chunks = found.pop("chunks")
    assert found == {
        "magic": "ca4c4f",
        "version": 1,
        "flags": 0x41,
        "grey": True,
        "lab": False,
        "tile": 1024,
        "pack_id": b"PACK".hex(),
        "level": 1408,
        "width": 2500,
        "height": 1025,
        "file_size": len(data),
        "header_size": 15,
        "overhead": 15 + 6 * 7,
        "tile_columns": 3,
        "tile_rows": 2,
        "tile_count": 6,
        "bpp": 8 * len(data) / (2500 * 1025),
        "error": None,
    } | {"overhead": len(data) - 6 - chunks[0]["length"]}
    assert [chunk["name"] for chunk in chunks] == ["icc"] + ["tile"] * 6
    assert [chunk["index"] for chunk in chunks] == [0, 0, 1, 2, 3, 4, 5]
    assert chunks[0]["offset"] == 15
    assert all(chunk["crc_ok"] for chunk in chunks)
    assert chunks[-1]["crc"] == data[-4:][::-1].hex()


def test_probe_of_a_version_that_it_does_not_know() -> None:
    data = bytearray(write(Header(768, 512, 5, b"PACK"), [b"payload"]))
    data[3] = 9
    found = probe(data)
    assert found["version"] == 9
    assert found["error"]["field"] == "version"
    assert {found[name] for name in ("flags", "tile", "width", "header_size", "bpp")} == {None}
    assert found["chunks"] == []
    assert list(found) == list(report())
