"""Files of format version 1, byte for byte. They must read the same for ever: never regenerate them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calotype.bitstream import Header, parse, probe, write

GOLDEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "golden_v1.json").read_text())


def expected_header(case: dict[str, Any]) -> Header:
    return Header(**{**case["header"], "pack_id": bytes.fromhex(case["header"]["pack_id"])})


def expected_extras(case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: _bytes(case.get(name)) for name in ("icc", "exif", "xmp")}
    return found | {"alpha": [bytes.fromhex(part) for part in case["alpha"]] if "alpha" in case else None}


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


@pytest.mark.parametrize("name", GOLDEN)
def test_reads(name: str) -> None:
    case = GOLDEN[name]
    file = parse(bytes.fromhex(case["hex"]))
    assert file.header == expected_header(case)
    assert [tile.hex() for tile in file.tiles] == case["tiles"]
    assert {k: getattr(file, k) for k in ("icc", "exif", "xmp", "alpha")} == expected_extras(case)
    assert file.error is None
    assert probe(bytes.fromhex(case["hex"]))["error"] is None


# zlib builds differ in what they make of the same bytes, so files with deflated chunks are only read.
@pytest.mark.parametrize("name", [n for n, case in GOLDEN.items() if "icc" not in case])
def test_writes(name: str) -> None:
    case = GOLDEN[name]
    tiles = [bytes.fromhex(tile) for tile in case["tiles"]]
    alpha = expected_extras(case)["alpha"]
    assert write(expected_header(case), tiles, alpha=alpha).hex() == case["hex"]


def test_layout_of_the_plain_file_by_hand() -> None:
    data = bytes.fromhex(GOLDEN["one-tile"]["hex"])
    assert data[:5] == bytes([0xCA, 0x4C, 0x4F, 1, 0x40])  # magic, version, flags: tile 1024
    assert data[5:11] == bytes.fromhex("c0ffee01 8005")  # pack_id, level 5.5 = 1408
    assert data[11:15] == bytes([0x80, 0x06, 0x80, 0x04])  # 768 = 6 * 128, 512 = 4 * 128
    assert data[15:17] == bytes([0x01, 40])  # tile chunk of 40 bytes
    assert len(data) == 15 + 2 + 40 + 4
