"""Every way in which a file says what its colours are: converted, or carried as a profile, by their rank."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from calotype.codec import icc
from calotype.codec.image import Picture
from calotype.errors import ImageError

from . import files
from .files import chrm, chunk, cicp, gama, iccp

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = icc.matrix_profile("P3", files.P3_CHRM, icc.SRGB_CURVE)
SWAPPED = (0.3127, 0.3290, 0.30, 0.60, 0.64, 0.33, 0.15, 0.06)  # red and green exchanged
NARROW = (0.3127, 0.3290, 0.60, 0.35, 0.32, 0.55, 0.17, 0.10)
RGB = np.random.default_rng(5).integers(0, 256, (6, 7, 3), np.uint8)


def rgb_png(extra: bytes, pixels: np.ndarray = RGB) -> Picture:
    return Picture.from_pil(files.opened(files.png(pixels, 8, 2, extra)))


def shown(picture: Picture) -> np.ndarray:
    """What a viewer with colour management shows on an sRGB screen."""
    image = Image.fromarray(picture.pixels)
    if picture.icc is None:
        return picture.pixels.astype(int)
    srgb = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(picture.icc)), srgb)
    return np.asarray(done).astype(int)


def grey_profile(gamma: float) -> bytes:
    """A profile for grey, of version 2: white, and a curve that is a power."""
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061))]
    tags += [(b"kTRC", b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0")]
    tags += [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78) + b"\0")]
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


GREY = grey_profile(1.0)


@pytest.mark.parametrize("gamma", [1.6, 0.625, 1.0, 0.3])
@pytest.mark.parametrize("colour_type", [0, 2, 3, 4, 6])
def test_gamma_by_libpngs_rule(gamma: float, colour_type: int) -> None:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    values = np.random.default_rng(6).integers(0, 256, (5, 6, channels), np.uint8)
    extra = gama(gamma) + (chunk(b"PLTE", bytes(range(256)) * 3) if colour_type == 3 else b"")
    picture = Picture.from_pil(files.opened(files.png(values, 8, colour_type, extra)))
    alpha = colour_type in (4, 6)
    colours = values[..., : channels - alpha]
    if colour_type == 3:
        colours = np.frombuffer(bytes(range(256)) * 3, np.uint8).reshape(256, 3)[values[..., 0]]
    expected = np.rint(255 * (colours / 255) ** (1 / (2.2 * gamma)))
    assert np.array_equal(picture.pixels[..., : colours.shape[2]], expected)
    assert picture.icc is None
    assert len(picture.notes) == 1
    if alpha:
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, values[..., -1])


def test_the_known_case_of_gamma() -> None:
    assert rgb_png(gama(0.625), np.full((2, 2, 3), 188, np.uint8)).pixels[0, 0, 0] == 204


@pytest.mark.parametrize(
    "extra", [gama(1 / 2.2), gama(0.47), chrm(files.SRGB_CHRM), cicp(1, 13), cicp(1, 1), cicp(2, 2)]
)
def test_srgb_in_other_words_changes_nothing(extra: bytes) -> None:
    picture = rgb_png(extra)
    assert np.array_equal(picture.pixels, RGB)
    assert (picture.icc, picture.notes) == (None, ())


def test_swapped_chromaticities_swap_red_and_green() -> None:
    picture = rgb_png(gama(1 / 2.2) + chrm(SWAPPED))
    assert icc.space(picture.icc or b"") == "RGB"
    assert (
        np.abs(shown(picture) - RGB[..., [1, 0, 2]])[RGB.min(axis=2) > 40].max() <= 6
    )  # 2.2 is not quite sRGB
    assert "profile" in picture.notes[0]


@pytest.mark.parametrize("gamma", [None, 0.5, 1.0])
def test_chromaticities_by_the_matrices_of_the_cie(gamma: float | None) -> None:
    """Colours within sRGB, against a computation from the definition; white is that of sRGB, so D65 stays."""
    picture = rgb_png((gama(gamma) if gamma else b"") + chrm(NARROW))
    v = RGB / 255
    light = v ** (1 / gamma) if gamma else np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)

    def matrix(values: tuple[float, ...]) -> np.ndarray:
        x, y = np.array(values).reshape(4, 2).T
        columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
        return columns[:, 1:] * np.linalg.solve(columns[:, 1:], columns[:, 0])

    linear = light @ (np.linalg.inv(matrix(files.SRGB_CHRM)) @ matrix(NARROW)).T
    linear = np.clip(linear, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(shown(picture) - 255 * coded).max() <= 3


@pytest.mark.parametrize(
    "broken", [(0.0,) * 8, (0.3, 0.3) * 4, (0.3127, 0.329, 0.64, 0.0, 0.3, 0.6, 0.15, 0.06)]
)
def test_chromaticities_that_make_no_sense(broken: tuple[float, ...]) -> None:
    picture = rgb_png(chrm(broken))
    assert picture.icc is None
    assert np.array_equal(picture.pixels, RGB)
    assert "no sense" in picture.notes[0]


@pytest.mark.parametrize(
    ("extra", "note"),
    [
        (chrm(SWAPPED), "kept as an ICC profile: the file's chromaticities"),
        (gama(1.0) + chrm(SWAPPED), "kept as an ICC profile: gamma and chromaticities of the file"),
        (cicp(12, 13), "kept as an ICC profile: the cICP tag (12/13)"),
        (gama(1.0), "converted to sRGB by its gamma"),
        (cicp(1, 8), "converted to sRGB by the cICP tag (1/8)"),
    ],
)
def test_a_note_is_right_for_one_thing_and_for_several(extra: bytes, note: str) -> None:
    assert rgb_png(extra).notes == (note,)


def test_a_gamma_of_nothing() -> None:
    picture = rgb_png(gama(0))
    assert np.array_equal(picture.pixels, RGB)
    assert "no sense" in picture.notes[0]


SAID = {
    "cICP": (cicp(12, 13), "cICP"),
    "iCCP": (iccp(SRGB), SRGB),
    "sRGB": (chunk(b"sRGB", b"\0"), None),
    "gAMA": (gama(1.0) + chrm(SWAPPED), "gamma"),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(SAID, 2)))
@pytest.mark.parametrize("turned", [False, True])
def test_the_rank_of_pngs_chunks(first: str, second: str, turned: bool) -> None:
    """cICP before iCCP before sRGB before gAMA and cHRM (PNG, third edition, 4.3), in any order."""
    chunks = [SAID[first][0], SAID[second][0]]
    picture = rgb_png(b"".join(reversed(chunks) if turned else chunks))
    meant = SAID[first][1]
    if meant is None or isinstance(meant, bytes):
        assert (picture.icc, picture.notes) == (meant, ())
    else:
        assert meant in picture.notes[0]


def test_a_profile_that_does_not_inflate_leaves_the_next_in_rank() -> None:
    broken = chunk(b"iCCP", b"test\0\0no zlib stream")
    assert np.array_equal(rgb_png(broken + gama(1.0)).pixels, rgb_png(gama(1.0)).pixels)


def test_cicp_is_read_from_files_that_were_loaded_before(tmp_path: object) -> None:
    path = f"{tmp_path}/p3.png"
    image = files.opened(files.png(RGB, 8, 2, cicp(12, 13)))
    image.load()
    assert Picture.from_pil(image).icc is not None
    with io.FileIO(path, "w") as file:
        file.write(files.png(RGB, 8, 2, cicp(12, 13)))
    with Image.open(path) as image:
        image.load()
        assert Picture.from_pil(image).icc is not None


@pytest.mark.parametrize(("primaries", "known"), [(12, files.P3_CHRM), (1, files.SRGB_CHRM)])
@pytest.mark.parametrize("transfer", [4, 8])
def test_numbers_of_h273(primaries: int, known: tuple[float, ...], transfer: int) -> None:
    gamma = {4: 1 / 2.2, 8: 1.0}[transfer]
    expected = rgb_png(gama(gamma) + chrm(known))
    picture = rgb_png(cicp(primaries, transfer))
    assert np.abs(shown(picture) - shown(expected))[RGB.min(axis=2) > 30].max() <= 7  # 2.2 is not quite sRGB


@pytest.mark.parametrize("matrix", [1, 2, 6, 9, 255])
@pytest.mark.parametrize("beside", [b"", iccp(SRGB), chunk(b"sRGB", b"\0"), gama(1.0)])
def test_a_tag_with_a_matrix_is_left_out(matrix: int, beside: bytes) -> None:
    """PNG has R, G and B: libpng and browsers pass such a tag over, so that the next in rank holds."""
    with_tag, without = rgb_png(cicp(12, 13, matrix=matrix) + beside), rgb_png(beside)
    assert np.array_equal(with_tag.pixels, without.pixels)
    assert with_tag.icc == without.icc
    note, *others = with_tag.notes
    assert f"a matrix ({matrix})" in note
    assert tuple(others) == without.notes


def test_narrow_range_is_stretched() -> None:
    picture = rgb_png(cicp(1, 13, full=0))
    assert np.array_equal(picture.pixels, np.rint(np.clip((RGB - 16.0) * 255 / 219, 0, 255)))
    assert "235" in picture.notes[0]


def test_an_unknown_number_is_said() -> None:
    picture = rgb_png(cicp(77, 13))
    assert picture.icc is None
    assert "77/13" in picture.notes[0]


PQ_WHITE = 148  # 203 cd/m2 in 8 bits: 0.5806 of PQ's range
HLG_WHITE = 191  # 75 %


@pytest.mark.parametrize(("transfer", "white"), [(16, PQ_WHITE), (18, HLG_WHITE)])
@pytest.mark.parametrize("grey", [False, True])
def test_hdr_is_shown_as_its_white_says(transfer: int, white: int, grey: bool) -> None:
    """Black stays, diffuse white is bright, what is brighter is brighter still, greys stay grey."""
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    values = ramp if grey else ramp[..., None].repeat(3, 2)
    picture = Picture.from_pil(files.opened(files.png(values, 8, 0 if grey else 2, cicp(9, transfer))))
    tone = picture.pixels[0].astype(int)
    assert np.ptp(tone, axis=1).max() <= 1
    assert (np.diff(tone[:, 1]) >= 0).all()
    assert tone[0].max() == 0
    assert 200 < tone[white, 1] < 245
    assert tone[-1].min() == 255
    assert picture.icc is None
    assert "HDR" in picture.notes[0]


def test_hdr_middle_grey_keeps_its_light() -> None:
    """Code 96 of PQ is 25.04 cd/m2, 0.1234 of white, which sRGB writes as 98.5."""
    picture = rgb_png(cicp(1, 16), np.full((2, 2, 3), 96, np.uint8))
    assert abs(int(picture.pixels[0, 0, 0]) - 98.5) <= 1


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
@pytest.mark.parametrize(("numbers", "kept"), [((12, 13), "profile"), ((9, 16), "HDR"), ((1, 13), None)])
def test_avif(numbers: tuple[int, int], kept: str | None) -> None:
    data = files.saved(Image.fromarray(np.full((16, 16, 3), 90, np.uint8)), "AVIF", quality=100)
    at = data.index(b"nclx") + 4
    image = files.opened(data[:at] + struct.pack(">HH", *numbers) + data[at + 4 :])
    picture = Picture.from_pil(image)
    assert (picture.icc is not None) == (kept == "profile")
    assert any(kept in note for note in picture.notes) if kept else picture.notes == ()


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_in_avif_a_profile_comes_first() -> None:
    image = files.opened(files.saved(Image.fromarray(RGB), "AVIF", icc_profile=P3))
    picture = Picture.from_pil(image)
    assert (picture.icc, picture.notes) == (P3, ())


@pytest.mark.parametrize(("numbers", "kept"), [((12, 13), "profile"), ((9, 16), "HDR"), ((1, 13), None)])
def test_heic(numbers: tuple[int, int], kept: str | None) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    tags = dict(zip(("color_primaries", "transfer_characteristics"), numbers))
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(RGB).resize((64, 64))).save(
        stream, save_nclx_profile=True, **tags
    )
    pillow_heif.register_heif_opener()
    picture = Picture.from_pil(files.opened(stream.getvalue()))
    assert (picture.icc is not None) == (kept == "profile")
    assert any(kept in note for note in picture.notes) if kept else picture.notes == ()


def test_jpeg_2000_has_a_profile_that_pillow_does_not_read() -> None:
    data = files.saved(Image.fromarray(RGB), "JPEG2000")
    at = data.index(b"colr") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    box = struct.pack(">I4sBBB", 11 + len(P3), b"colr", 2, 0, 0) + P3
    header = data.index(b"jp2h") - 4
    grown = int.from_bytes(data[header : header + 4], "big") - size + len(box)
    data = data[:header] + struct.pack(">I", grown) + data[header + 4 : at] + box + data[at + size :]
    assert Picture.from_pil(files.opened(data)).icc == P3


def test_bmp_has_a_profile_that_pillow_does_not_read() -> None:
    pixels = np.full((2, 4, 3), 90, np.uint8)
    body = pixels.tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 4, 2, 1, 24, 0, len(body), 0, 0, 0, 0)
    header = header.ljust(56, b"\0") + b"DEBM"  # where the colours come from
    header = header.ljust(112, b"\0") + struct.pack("<II", 124 + len(body), len(P3))
    data = b"BM" + struct.pack("<IHHI", 138 + len(body), 0, 0, 138) + header.ljust(124, b"\0") + body + P3
    picture = Picture.from_pil(files.opened(data))
    assert picture.icc == P3
    assert np.array_equal(picture.pixels, pixels)
    plain = Picture.from_pil(files.opened(data.replace(b"DEBM", b"BGRs")))
    assert plain.icc is None


PROFILES = {"GRAY": GREY, "RGB": P3, "CMYK": b"", "Lab": b"", "none": b"no profile at all" * 10}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "YCbCr", "I;16"])
@pytest.mark.parametrize("kind", PROFILES)
def test_every_pair_of_picture_and_profile(mode: str, kind: str, cmyk_profile: bytes) -> None:
    """The profile is for the pixels that it comes with, or there is none; no pixel changes without a note."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    profile = {"CMYK": cmyk_profile, "Lab": lab}.get(kind) or PROFILES[kind]
    image = Image.fromarray(RGB).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    plain = Picture.from_pil(image)
    image.info["icc_profile"] = profile
    picture = Picture.from_pil(image)
    assert picture.grey == plain.grey
    if picture.icc is not None:
        assert picture.icc == profile
        assert icc.space(profile) == ("GRAY" if picture.grey else "RGB")
    assert (picture.icc is None) == (kind != ("GRAY" if picture.grey else "RGB"))
    same = np.array_equal(picture.pixels, plain.pixels)
    if picture.icc is None:
        assert len(picture.notes) > len(plain.notes) or same
        assert same or (kind, picture.grey) == ("RGB", True)
    else:
        assert same


@pytest.mark.parametrize("left", [140, 200, -1])
@pytest.mark.parametrize(("mode", "whole"), [("L", GREY), ("RGB", P3), ("RGBA", SRGB), ("L", P3)])
def test_a_profile_that_is_cut_short_is_none(mode: str, whole: bytes, left: int) -> None:
    image = Image.fromarray(RGB).convert(mode)
    image.info["icc_profile"] = whole[:left]
    picture = Picture.from_pil(image)
    assert picture.icc is None
    assert np.array_equal(picture.pixels[..., 0], np.asarray(image.getchannel(0)))
    assert picture.notes == ("the ICC profile is none, or cut short; it is left out",)
    with pytest.raises(ValueError, match="icc_profile"):
        picture.given(icc_profile=whole[:left])
    image.info["icc_profile"] = whole + b"\0"  # some files pad it
    assert Picture.from_pil(image).notes in ((), ("grey with an RGB profile converted to sRGB",))


def test_a_cmyk_profile_that_is_cut_short_is_none(cmyk_profile: bytes) -> None:
    image = Image.new("CMYK", (8, 8))
    image.info["icc_profile"] = cmyk_profile[:-1]
    with pytest.raises(ImageError, match="CMYK"):
        Picture.from_pil(image)


def test_grey_goes_through_a_profile_for_rgb() -> None:
    linear = icc.matrix_profile("linear", files.SRGB_CHRM, icc.gamma_curve(1))
    image = Image.fromarray(np.full((3, 3), 128, np.uint8))
    image.info["icc_profile"] = linear
    picture = Picture.from_pil(image)
    assert picture.grey
    assert picture.icc is None
    assert abs(int(picture.pixels[0, 0, 0]) - 188) <= 1  # half of the light
    assert "sRGB" in picture.notes[0]


def test_grey_with_the_profile_of_srgb_needs_no_words() -> None:
    image = Image.fromarray(RGB[..., 0])
    image.info["icc_profile"] = SRGB
    picture = Picture.from_pil(image)
    assert np.array_equal(picture.pixels[..., 0], RGB[..., 0])
    assert (picture.icc, picture.notes) == (None, ())
