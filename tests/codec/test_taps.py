"""A picture's own taps: their code, what a file with them shows, and which an encoder chooses."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests import reader, reader_file
from tests.golden import DATA, scene, with_taps

import calotype
from calotype.bitstream import Header, StreamWriter, parse, taps, write
from calotype.codec import library, manifest
from calotype.codec.decoder import decode, preview
from calotype.codec.effort import taps as fitting
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.coder import encode_pixels
from calotype.coder.native import load
from calotype.errors import FormatError

Pixels = NDArray[np.uint8]
NONE = [0] * taps.NUMBERS


def bits(text: str) -> bytes:
    """Bits as a chunk has them; spaces count for nothing."""
    text = text.replace(" ", "")
    size = -(-len(text) // 8)
    return int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def sets_of_numbers() -> st.SearchStrategy[list[list[int]]]:
    def numbers(count: int, most: int) -> st.SearchStrategy[list[int]]:
        some, few = (
            st.lists(n, min_size=count, max_size=count)
            for n in (st.integers(-most, most), st.sampled_from([-1, 0, 1]))
        )
        return st.one_of(st.just([0] * count), some, few)

    one = st.tuples(*(numbers(*group) for group in taps.GROUPS)).map(
        lambda parts: [n for part in parts for n in part]
    )
    return st.sampled_from([1, 2, 4, 8]).flatmap(lambda n: st.lists(one, min_size=n, max_size=n))


@given(sets_of_numbers())
def test_sets_come_back(sets: list[list[int]]) -> None:
    payload = taps.write(sets)
    assert taps.read(payload) == sets
    assert reader_file.own_taps(payload) == sets


@given(st.binary(max_size=60))
def test_anything_is_sets_or_an_error(payload: bytes) -> None:
    """The same for the second reader."""
    try:
        found = taps.read(payload)
    except ValueError:
        with pytest.raises(ValueError, match=r"\w"):
            reader_file.own_taps(payload)
    else:
        assert reader_file.own_taps(payload) == found


def test_numbers_out_of_range_are_not_written() -> None:
    for place, value in ((0, 128), (19, -128), (20, 9), (21, -9)):
        with pytest.raises(ValueError, match="beyond"):
            taps.write([[*NONE[:place], value, *NONE[place + 1 :]]])


HOSTILE = {
    "nothing": (b"", "early"),
    "no groups": (bits("00 111"), "early"),
    "a group cut": (bits("00 000 1"), "early"),
    "a set missing": (bits("01 111 111 111"), "early"),
    "a tap of 128": (bits("00 110" + "1110 111111" + 11 * "0000000" + "111 111"), "beyond"),
    "a share of 9": (bits("00 111 111 100 10 0001 00000"), "beyond"),
    "ones without end": (b"\x00" + 400 * b"\xff", "beyond"),
    "a byte more": (bits("00 111 111 111") + b"\0", "follow"),
    "many bytes more": (bits("00 111 111 111") + bytes(1 << 15), "follow"),
    "a bit that is set": (bits("00 111 111 111 1"), "not 0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_payload_is_refused_by_every_reader(name: str, tiny: Pack) -> None:
    payload, what = HOSTILE[name]
    good = parse((DATA / "tiny" / "tiles.calo").read_bytes())
    data = write(good.header, good.tiles, taps=payload)
    with pytest.raises(FormatError, match=rf"taps.*{what}"):
        parse(data)
    with pytest.raises(ValueError, match=r"\w"):
        reader_file.parse(data)
    box = (0, 0, good.header.width, good.header.height)
    out = memoryview(bytearray(3 * box[2] * box[3])).cast("B", (box[3], box[2], 3))
    with pytest.raises(load().FileError, match=rf"taps: .*{what}"):
        load().decode(data, tiny.native, box, False, 1, False, out)


@given(sets_of_numbers())
def test_pixels_are_those_of_the_second_reader(tiny: Pack, sets: list[list[int]]) -> None:
    """Whatever the numbers: what would leave 16 bits is held back."""
    data = with_taps(small_file(tiny), sets)
    expected = reader.read(data, tiny.file(manifest.TABLES), tiny.file(manifest.NETWORKS))[1]
    assert np.array_equal(decode(data, pack=tiny, threads=1).picture.pixels, expected)


def small_file(pack: Pack) -> bytes:
    data = encode(Picture(scene(40, 33, 6)), level=256, pack=pack, threads=1).data
    assert not any(parse(data).pixels)
    return data


def test_no_numbers_change_nothing(tiny: Pack) -> None:
    data = small_file(tiny)
    shown = decode(data, pack=tiny).picture.pixels
    assert np.array_equal(decode(with_taps(data, 4 * [NONE]), pack=tiny).picture.pixels, shown)
    none_of_the_packs = [[0] * 20 + [-8, -8]]
    assert not np.array_equal(decode(with_taps(data, none_of_the_packs), pack=tiny).picture.pixels, shown)


def test_a_pack_without_a_filter_has_no_taps_to_correct() -> None:
    good = parse((DATA / "shipped" / "photo-eyes-tiles.calo").read_bytes())
    data = write(good.header, good.tiles, taps=taps.write([NONE]))
    for way in (decode, preview):
        with pytest.raises(FormatError, match=r"taps: .* has no filter"):
            way(data)


def test_without_latents_they_say_nothing() -> None:
    flat = parse(encode(Picture(np.full((20, 30, 3), 90, np.uint8)), lossless=True).data)
    header, (tile,) = flat.header, flat.tiles
    out = io.BytesIO()
    with StreamWriter(out, header, taps=taps.write([NONE])) as writer:
        writer.tile(tile, pixels=True)
    assert (decode(out.getvalue()).picture.pixels == 90).all()


def test_damaged_ones_are_left_out_and_told(tiny: Pack) -> None:
    data = (DATA / "tiny" / "taps.calo").read_bytes()
    at = parse(data).chunks[0].offset + 40
    spoilt = data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :]
    with pytest.raises(FormatError, match="the taps chunk"):
        decode(spoilt, pack=tiny)
    kept = decode(spoilt, pack=tiny, damaged="keep")
    assert kept.error is not None
    plain = (DATA / "tiny" / "tiles.calo").read_bytes()
    assert np.array_equal(kept.picture.pixels, decode(plain, pack=tiny).picture.pixels)


def test_they_come_once_and_before_the_tiles() -> None:
    def chunk(data: bytes, name: str) -> bytes:
        (found,) = (c for c in parse(data).chunks if c.name == name)
        return data[found.offset : found.offset + found.length + 6]

    whole = write(Header(40, 30, 0, b"PACK"), [b"payload"], layer=[b"x"], taps=taps.write([NONE]))
    own, layer = chunk(whole, "taps"), chunk(whole, "layer")
    assert parse(whole).taps == taps.write([NONE])
    for spoilt, why in (
        (whole.replace(own, own + own), "second taps"),
        (whole.replace(layer + own, own + layer), "layer chunk after taps"),
        (whole.replace(own, b"") + own, "follow the last tile"),
    ):
        with pytest.raises(FormatError, match=why):
            parse(spoilt)
        with pytest.raises(ValueError, match=r"\w"):
            reader_file.parse(spoilt)


@pytest.fixture(scope="module")
def grainy() -> Pixels:
    """Grain that the pack's filter takes for errors, over shading."""
    noise = np.random.default_rng(4).normal(0, 5, (260, 300, 1))
    return np.clip(scene(260, 300, 11) * 0.6 + 40 + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def psnr_pack() -> Pack:
    return library.load(library.tuned("psnr"))


def squared(a: Pixels, b: Pixels) -> float:
    return float(np.square(a.astype(np.float64) - b).sum())


@pytest.mark.parametrize("tile", [64, 256])
def test_an_encoder_finds_them_and_they_bring_what_it_expects(
    grainy: Pixels, psnr_pack: Pack, tile: int
) -> None:
    level, worth = psnr_pack.level_of(75), 0.02
    data = encode(Picture(grainy), level=level, tile=tile, pack=psnr_pack, threads=1).data
    payload = fitting.find(psnr_pack, data, grainy, worth, 1)
    assert payload is not None
    for threads in (2, 3):
        assert fitting.find(psnr_pack, data, grainy, worth, threads) == payload
    sets = taps.read(payload)
    sums = load().moments(data, psnr_pack.native, 1, 1, grainy) / fitting.FRACTION**2
    expected, per_set = 0.0, 16 // len(sets)
    for k, v in enumerate(np.array(sets) * fitting.UNIT):
        part = sums[k * per_set : (k + 1) * per_set].sum(0)
        expected += 2 * v @ part[:-1, -1] - v @ part[:-1, :-1] @ v
    before = squared(grainy, decode(data, pack=psnr_pack).picture.pixels)
    after = squared(grainy, decode(with_taps(data, sets), pack=psnr_pack).picture.pixels)
    assert worth * (before - after) > 8 * len(payload)
    assert before - after == pytest.approx(expected, rel=0.1)


def test_nothing_is_found_where_errors_are_worth_nothing(grainy: Pixels, psnr_pack: Pack) -> None:
    data = encode(Picture(grainy), level=psnr_pack.level_of(50), pack=psnr_pack, threads=1).data
    assert fitting.find(psnr_pack, data, grainy, 0.0, 1) is None


def test_effort_writes_them_for_psnr_alone(grainy: Pixels) -> None:
    pytest.importorskip("onnxruntime")
    for tune, effort, there in (("psnr", 1, True), ("psnr", 0, False), ("eyes", 1, False)):
        data = calotype.encode(grainy[:130, :130], 75, tune=tune, effort=effort, threads=1)
        assert (parse(data).taps is not None) == there
        whole = np.asarray(calotype.decode(data))
        part = np.asarray(calotype.decode(data, region=(30, 41, 111, 99)))
        assert np.array_equal(part, whole[41:99, 30:111])
        if there:
            assert calotype.probe(data)["chunks"][0]["name"] == "taps"


def test_a_worker_fits_them(grainy: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python hears an interrupt in its main thread, and not while that is in native code."""
    pytest.importorskip("onnxruntime")
    fitted_by, find = [], fitting.find

    def watched(*given: Any) -> bytes | None:
        fitted_by.append(threading.current_thread())
        return find(*given)

    monkeypatch.setattr(fitting, "find", watched)
    calotype.encode(grainy[:64, :64], 75, tune="psnr", effort=1, threads=1)
    assert fitted_by
    assert threading.main_thread() not in fitted_by


def test_what_lies_under_a_layer_and_in_tiles_of_pixels_does_not_count(
    psnr_pack: Pack, grainy: Pixels
) -> None:
    """Sums of a file whose other tiles are spoilt are those of its good tiles."""
    data = encode(Picture(grainy), level=psnr_pack.level_of(75), tile=128, pack=psnr_pack, threads=1).data
    other = grainy.copy()
    other[:128, :128] = 255 - other[:128, :128]
    sums = [load().moments(data, psnr_pack.native, 1, 1, p) for p in (grainy, other)]
    assert not np.array_equal(*sums)
    file = parse(data)
    empty = b"\x01\x00\x00\x00\x00\x00" + encode_pixels(np.zeros((128, 128, 1), np.uint8))[0]
    layered = write(file.header, file.tiles, layer=[empty] + [b""] * (len(file.tiles) - 1))
    sums = [load().moments(layered, psnr_pack.native, 1, 1, p) for p in (grainy, other)]
    assert np.array_equal(*sums)
