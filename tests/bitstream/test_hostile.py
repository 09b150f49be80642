"""The hostile files in tests/data, and what limits are for."""

from __future__ import annotations

import importlib.util
import json
import tracemalloc
import zlib
from pathlib import Path
from types import ModuleType

import pytest

from calotype import errors
from calotype.bitstream import Header, Limits, is_calo, parse, probe, write
from calotype.errors import CalotypeError, FormatError, LimitError

FOLDER = Path(__file__).parents[1] / "data" / "hostile"
INDEX: dict[str, dict[str, str]] = json.loads((FOLDER / "index.json").read_text())


def _load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_hostile", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", INDEX)
def test_refused_for_the_right_reason(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    with pytest.raises(getattr(errors, INDEX[name]["exception"])) as caught:
        parse(data)
    assert INDEX[name]["message"] in str(caught.value)
    if is_calo(data):
        assert probe(data)["error"]["message"] == str(caught.value)
    else:
        with pytest.raises(FormatError, match=r"not a \.calo file"):
            probe(data)


def test_folder_is_what_the_script_makes() -> None:
    cases = _load_make().cases()
    assert sorted(f"{name}.calo" for name in cases) == sorted(INDEX)
    assert sorted(path.name for path in FOLDER.glob("*.calo")) == sorted(INDEX)
    for name, (data, exception, message) in cases.items():
        assert INDEX[f"{name}.calo"] == {"exception": exception, "message": message}
        if b"\x78\x9c" not in data and b"\x78\xda" not in data:  # zlib builds differ in what they make
            assert (FOLDER / f"{name}.calo").read_bytes() == data, name


def test_the_script_makes_good_files_too() -> None:
    """A check of the checker: its plain file, which the others are spoilt from, is accepted."""
    make = _load_make()
    head = make.header()
    file = parse(head + make.chunk(head, make.ALPHA, b"\x04four") + make.chunk(head, make.TILE, b"payload"))
    assert file.header == Header(48, 32, 512, b"PACK")
    assert file.alpha == [b"four"]


def test_size_bombs_allocate_nothing() -> None:
    bombs = [
        (FOLDER / name).read_bytes() for name in INDEX if name.startswith(("bomb-2", "bomb-l", "length"))
    ]
    assert len(bombs) >= 5
    tracemalloc.start()
    for data in bombs:
        with pytest.raises(CalotypeError):
            parse(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_metadata_bombs_stop_at_the_limit() -> None:
    header = Header(10, 10, 0, b"PACK")
    bomb = write(header, [b"t"], xmp=bytes(2**24))
    limits = Limits(max_metadata=1000)
    tracemalloc.start()
    with pytest.raises(LimitError, match=r"^xmp at offset \d+: .* more than max_metadata = 1000"):
        parse(bomb, limits=limits)
    kept = parse(bomb, limits=limits, damaged="keep")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**18
    assert kept.xmp is None
    assert kept.tile_ok == [True]
    assert parse(bomb).xmp == bytes(2**24)  # just within the default


def test_the_metadata_limit_is_for_all_of_it() -> None:
    data = write(Header(10, 10, 0, b"PACK"), [b"t"], icc=b"1234", exif=b"1234", xmp=b"1234")
    assert parse(data, limits=Limits(max_metadata=12)).xmp == b"1234"
    with pytest.raises(LimitError, match=r"^xmp"):
        parse(data, limits=Limits(max_metadata=11))
    with pytest.raises(LimitError, match=r"^exif"):
        parse(data, limits=Limits(max_metadata=4))


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        (Limits(max_pixels=130 * 65), False),
        (Limits(max_pixels=130 * 65 - 1), True),
        (Limits(max_tiles=6), False),
        (Limits(max_tiles=5), True),
        (Limits(max_tile_pixels=64 * 64), False),
        (Limits(max_tile_pixels=64 * 64 - 1), True),
    ],
)
def test_limits_are_exact(limits: Limits, refused: bool) -> None:
    data = write(Header(130, 65, 0, b"PACK", 64), [b""] * 6)
    if refused:
        with pytest.raises(LimitError, match=r"^width, height at offset 11: "):
            parse(data, limits=limits)
        assert probe(data, limits=limits)["tile_count"] == 6  # the header is shown all the same
    else:
        parse(data, limits=limits)


def test_a_small_picture_in_a_large_tile_is_within_the_limits() -> None:
    assert parse(write(Header(100, 100, 0, b"PACK", tile=2**21), [b""])).header.tile == 2**21


def test_lab_files_have_no_tiles_to_limit() -> None:
    header = Header(5000, 5000, 0, b"PACK", tile=2**21, lab=True)
    assert len(parse(write(header, [b"x"])).tiles) == 1


def test_deflated_metadata_is_zlib() -> None:
    data = write(Header(10, 10, 0, b"PACK"), [b"t"], exif=b"II*\0" * 100)
    (chunk,) = (c for c in parse(data).chunks if c.name == "exif")
    assert zlib.decompress(chunk.payload) == b"II*\0" * 100
    assert chunk.length < 50
