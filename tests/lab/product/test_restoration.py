"""The restoration filter: fitted taps find what was taken from pictures; packs with them, and bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.golden import scene

import calotype
from calotype.codec import manifest, tensors
from calotype.codec.metrics import psnr
from calotype.codec.pack import Pack
from calotype.coder import LevelPixels
from calotype.lab.pack.restoration import FRACTION, Fit, classes, restored
from calotype.pack import tables
from calotype.pack.levels import RESTORATION, interpolated

SCRIPT = Path(__file__).parents[3] / "training" / "restoration.py"
TINY = Path(__file__).parents[2] / "data" / "tiny" / "tiny.zip"
Pixels = NDArray[np.uint8]


def stripes(seed: int, blurred: bool) -> Pixels:
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.integers(40, 216, 32), 4)[:, None] + rng.normal(0, 2, (128, 96))
    if blurred:
        rows = (np.roll(rows, 1, 0) + 2 * rows + np.roll(rows, -1, 0)) / 4
    return np.clip(np.rint(rows), 0, 255).astype(np.uint8)[..., None].repeat(3, -1)


def shown(pixels: Pixels, taps: NDArray[np.int16]) -> Pixels:
    return restored(pixels.astype(np.int32) * FRACTION, taps)


def test_what_was_blurred_gets_sharper_and_another_picture_too() -> None:
    fit = Fit()
    for k in range(4):
        fit.add(stripes(k, False), stripes(k, True))
    original, blurred = stripes(9, False), stripes(9, True)
    assert psnr(original, shown(blurred, fit.taps())) > psnr(original, blurred) + 3


def test_colours_that_lost_their_sharpness_get_some_of_it_back() -> None:
    def tinted(seed: int, blurred: bool) -> Pixels:
        pixels = stripes(seed, False).copy()
        for c, other in ((0, 100 + seed), (2, 200 + seed)):
            colour = stripes(other, blurred)[..., 0].astype(int) - 128
            pixels[..., c] = np.clip(pixels[..., c] + colour // 2, 0, 255)
        return pixels

    fit = Fit()
    for k in range(6):
        fit.add(tinted(k, False), tinted(k, True))
    original, blurred = tinted(9, False), tinted(9, True)
    assert psnr(original, shown(blurred, fit.taps())) > psnr(original, blurred) + 2


def test_errors_that_nothing_foretells_are_left_alone() -> None:
    """Noise that was added to a picture of noise: no tap takes it away, and none makes it more."""
    rng, fit = np.random.default_rng(0), Fit()

    def pair() -> tuple[Pixels, Pixels]:
        original = rng.integers(60, 190, (192, 192, 3))
        return original.astype(np.uint8), (original + rng.integers(-6, 7, original.shape)).astype(np.uint8)

    for _ in range(6):
        fit.add(*pair())
    original, noisy = pair()
    moved = shown(noisy, fit.taps())
    assert not np.array_equal(moved, noisy)
    assert psnr(original, moved) > psnr(original, noisy) - 0.1


def test_edges_of_both_ways_are_of_different_classes() -> None:
    luma = stripes(3, False)[..., 0].astype(np.int32) * FRACTION
    lying, standing = (np.bincount(classes(x).ravel() % 9).argmax() for x in (luma, luma.T))
    assert (lying, standing) == (6, 5)


def fitted(photos: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, TINY, photos, "--out", out, "--each", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_pack_with_other_taps_shows_other_pixels_of_the_same_integers(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "pack"
    photos.mkdir()
    for k in range(2):
        Image.fromarray(scene(128, 144, 70 + k)).save(photos / f"{k}.png")
    done = fitted(photos, out, "--side", "128")
    assert done.returncode == 0, done.stderr
    old, new = Pack(TINY), Pack(out)
    assert new.manifest.id in done.stdout
    assert new.manifest.synthesis_margin == old.manifest.synthesis_margin
    assert new.manifest.training[RESTORATION]["photographs"] == 2
    pixels = scene(90, 70, 5)
    files = [calotype.encode(pixels, quality=60, pack=pack.path, threads=1) for pack in (old, new)]
    assert files[0][11:] != files[1][11:], "checksums are over the id, too"
    assert len(files[0]) == len(files[1])
    first, second = (
        np.asarray(calotype.decode(file, pack=pack.path)).astype(int) for file, pack in zip(files, (old, new))
    )
    assert 0 < np.abs(first - second).mean() < 3


@pytest.mark.parametrize("options", [("--side", "100"), ("--each", "0")])
def test_impossible_numbers_are_told(tmp_path: Path, options: tuple[str, str]) -> None:
    done = fitted(tmp_path, tmp_path / "pack", *options)
    assert done.returncode == 2
    assert "--each must be at least 1, and --side a multiple of 16" in done.stderr
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(("first", "last"), [(0, 12), (12, 20)])
def test_taps_that_could_leave_16_bits_are_refused(first: int, last: int) -> None:
    pack = Pack(TINY)
    arrays = dict(tensors.load(pack.file(manifest.TABLES)))
    sizes = {"latents": 32, "hyper_latents": 4, "levels": 3}
    tables.check(arrays, **sizes)
    taps = arrays[RESTORATION].copy()
    taps[1, 77, first:last] = 6000
    with pytest.raises(ValueError, match="restoration has sums that could leave 16 bits"):
        tables.check(arrays | {RESTORATION: taps}, **sizes)
    arguments = pack.level(256).pixels.vector, np.ascontiguousarray(taps[1]), np.zeros((1, 1, 32), np.int16)
    with pytest.raises(ValueError, match="a sum of class 77 could leave 16 bits"):
        pack.decoder.native.synthesis(*arguments, np.empty((16, 16, 3), np.uint8))


def test_taps_between_two_levels_fit_where_those_of_the_levels_do() -> None:
    """They are rounded, all of them up, perhaps."""
    arrays = dict(tensors.load(Pack(TINY).file(manifest.TABLES)))
    taps = np.zeros_like(arrays[RESTORATION])
    taps[:, 0, :12] = 5470
    taps[1::2, 0, :12] += 1
    while True:
        taps[:, 0, 11] += 1
        try:
            tables.check(arrays | {RESTORATION: taps}, latents=32, hyper_latents=4, levels=3)
        except ValueError:
            break
    taps[:, 0, 11] -= 1
    decoder, y = Pack(TINY).decoder, np.zeros((1, 1, 32), np.int16)
    for number in range(0, 513, 16):
        some = interpolated(taps, number).astype(np.int16)
        decoder.synthesis(LevelPixels(np.zeros(32, np.int32), some), y)


@pytest.mark.parametrize(
    ("blocks16", "blocks8", "convs", "latents"), [(1, 2, 3, 3), (1, 1, 2, 3), (2, 2, 0, 4), (1, 1, 1, 2)]
)
def test_the_margin_has_room_for_the_filter(
    blocks16: int, blocks8: int, convs: int, latents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import restoration

    names = [f"synthesis.blocks16.{k}.conv.weight" for k in range(blocks16)]
    names += [f"synthesis.blocks8.{k}.conv.weight" for k in range(blocks8)]
    names += [f"synthesis.convs.{k}.weight" for k in range(convs)]
    assert restoration.margin([*names, "synthesis.patch.weight", "mean.low.0.weight"]) == latents
