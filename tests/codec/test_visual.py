"""Quality as eyes see it: one number gives about the same SSIMULACRA2, foretold in one pass."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.bitstream import Box
from calotype.codec import aim, library, manifest, visual
from calotype.codec.encoder import DEFAULT_QUALITY, encode
from calotype.codec.exposure import Encoded
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.errors import PackError

ROOT = Path(__file__).parents[2]
Scene = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="module")
def photographs() -> list[NDArray[np.uint8]]:
    """A portrait, soft; rocks and trees, busy; the same at an eighth of the light."""
    found = []
    for name in ("examples/miner-portrait.jpg", "src/calotype/cli/photos/lake-sherburne.jpg"):
        with Image.open(ROOT / name) as image:
            middle = image.width // 2, image.height // 2
            box = (middle[0] - 192, middle[1] - 128, middle[0] + 192, middle[1] + 128)
            found.append(np.asarray(image.convert("RGB").crop(box)))
    return [*found, found[1] // 8]


def _made(pixels: NDArray[np.uint8], quality: float | None = None, **options: Any) -> Encoded:
    return encode(Picture.from_array(pixels), quality=quality, threads=1, **options)


def _score(pixels: NDArray[np.uint8], made: Encoded) -> float:
    return ssimulacra2(pixels, np.asarray(calotype.decode(made.data).convert("RGB")))


def test_one_quality_looks_the_same(pack: Pack, photographs: list[NDArray[np.uint8]]) -> None:
    made = [_made(pixels, 60) for pixels in photographs]
    scores = [_score(pixels, m) for pixels, m in zip(photographs, made)]
    assert max(abs(score - 60) for score in scores) < 8
    level = round(np.mean([m.level for m in made]))
    fixed = [_score(pixels, _made(pixels, level=level)) for pixels in photographs]
    assert np.ptp(scores) < np.ptp(fixed)
    assert [m.quality for m in made] == pytest.approx([60] * 3, abs=0.2)


def test_the_default_is_high(pack: Pack, photographs: list[NDArray[np.uint8]]) -> None:
    made = _made(photographs[1])
    assert made.data == _made(photographs[1], DEFAULT_QUALITY).data
    assert _score(photographs[1], made) > 75


def test_ends_are_those_of_the_pack(pack: Pack, scene: Scene) -> None:
    rng = np.random.default_rng(0)
    smooth = rng.integers(88, 92, (48, 80, 3), np.uint8)  # one of one colour is exact at any quality
    for pixels in (smooth, scene(64, 96), rng.integers(0, 256, (64, 64, 3), np.uint8)):
        levels = [_made(pixels, quality).level for quality in (0, 10, 20, 50, 80, 90, 95, 95.9)]
        assert levels == sorted(levels)
        assert levels[0] == 0
        assert levels[-2:] == [pack.manifest.max_level] * 2
        assert 0 < levels[3] < pack.manifest.max_level


def test_for_psnr_quality_is_plain(scene: Scene) -> None:
    plain = library.load(library.tuned("psnr"))
    for quality in (0, 33.3, 80, 95):
        made = _made(scene(32, 48), quality, pack=plain)
        assert made.level == plain.level_of(quality)


def test_a_level_is_taken_as_it_is(pack: Pack, scene: Scene) -> None:
    assert _made(scene(32, 32), level=700).level == 700
    with pytest.raises(ValueError, match="level 9999"):
        _made(scene(32, 32), level=9999)
    with pytest.raises(ValueError, match="not both"):
        _made(scene(32, 32), 50, level=7)


def test_tiles_do_not_change_the_level(pack: Pack, scene: Scene) -> None:
    pixels = scene(256, 320, seed=4)
    whole = _made(pixels, 55).level
    assert abs(_made(pixels, 55, tile=64).level - whole) <= 8
    assert abs(_made(pixels, 55, tile=128).level - whole) <= 8


def test_of_large_pictures_pieces_are_looked_at(
    pack: Pack, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = scene(320, 480, seed=1)
    whole = _made(pixels, 55).level
    monkeypatch.setattr(aim, "MOST", 100)
    monkeypatch.setattr(aim, "SIDE", 4)
    seen: list[Any] = []
    looked = visual.of_windows
    monkeypatch.setattr(
        visual, "of_windows", lambda *how: seen.append((how[3].height, how[3].width)) or looked(*how)
    )
    part = _made(pixels, 55)
    assert seen == [(4, 4)] * 16
    assert abs(part.level - whole) < 100
    assert len(_made(scene(16, 2000), 55).data) < 4000  # one piece high


@pytest.mark.parametrize("apart", [1, 2])
def test_features_follow_from_the_definition(pack: Pack, apart: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(0, 9, (1, pack.manifest.latents, 6, 4)).astype(np.float32)
    by = pack.visual_measures
    assert by.step.shape == (pack.manifest.latents - visual.LOW, 1)
    parts = [visual.sums(y[..., :4, :], by, apart), visual.sums(y[..., 4:, :], by, apart)]
    found = visual.features(parts, 8)
    assert found.shape == (visual.count(8),)
    steps = [pack.level(256 * k).steps.high * (pack.unit[16:] / 4096) for k in range(8)]
    lost, energies, logs, light = [], [], [], []
    for row, column in itertools.product(range(0, 6, apart), range(0, 4, apart)):
        place = y[0, :, row, column]
        a = (place[16:] / steps[4][0]) ** 2
        most = [(s.mean(0) / steps[4][0]) ** 2 / 4 for s in steps]
        lost.append([np.minimum(a, m).sum() / (a.sum() + 64) for m in most])
        energies.append(a)
        logs.append(np.log(place[2] ** 2 + place[3] ** 2 + 0.1) - np.log(a.sum() + 1))
        light.append(place[0])
    share = np.mean(energies, 0) / np.mean(energies, 0).sum()
    fourth = np.mean(np.array(lost)[:, 3:6] ** 4, 0) ** 0.25
    expected = np.log(np.array([*np.mean(lost, 0), *fourth]) + 1e-6)
    spread = -(share * np.log(share)).sum()
    np.testing.assert_allclose(found[:11], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[11:], [np.mean(light), np.mean(logs), spread], rtol=1e-4)


@pytest.mark.parametrize("apart", [1, 2])
def test_windows_have_the_sums_that_they_have_alone(pack: Pack, apart: int) -> None:
    y = np.random.default_rng(1).normal(0, 9, (1, pack.manifest.latents, 9, 31)).astype(np.float32)
    by = pack.visual_measures
    found = visual.of_windows(y, by, apart, Box(1, 1, 30, 8), 8)
    alone = [visual.sums(y, by, apart, Box(left, 1, min(left + 8, 30), 8)) for left in (1, 9, 17, 25)]
    np.testing.assert_array_equal(found, alone)
    copied = np.ascontiguousarray(y[..., 1:8, 1:9])
    np.testing.assert_array_equal(visual.sums(copied, by, apart), alone[0])
    with pytest.raises(ValueError, match="multiple"):
        visual.of_windows(y, by, 2, Box(1, 1, 30, 8), 7)


def test_flat_pictures_have_features(pack: Pack) -> None:
    nothing = np.zeros((1, pack.manifest.latents, 3, 3), np.float32)
    found = visual.features([visual.sums(nothing, pack.visual_measures, 1)], 8)
    assert np.isfinite(found).all()


def test_small_pictures_are_looked_at_everywhere(
    pack: Pack, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    looked = visual.of_windows
    monkeypatch.setattr(visual, "of_windows", lambda *how: seen.append(how[2]) or looked(*how))
    _made(scene(64, 96), 55)
    monkeypatch.setattr(visual, "FEW", 23)  # of 24
    _made(scene(64, 96), 55)
    assert seen == [1, visual.APART]


def test_levels_rise_whatever_the_features(pack: Pack) -> None:
    given = pack.manifest.visual
    assert given is not None
    rng = np.random.default_rng(1)
    for scale in (0.0, 1.0, 100.0, 1e6):
        points = visual.points(given, rng.normal(0, scale, visual.count(8)), pack.manifest.max_level)
        qualities, levels = np.array(points).T
        assert (np.diff(qualities) > 0).all()
        assert (np.diff(levels) >= 1).all()
        assert (levels[0], levels[-1]) == (0, pack.manifest.max_level)
    tight = dataclasses.replace(given, bounds=((1792.0, 1792.0),) * len(given.scores))
    assert (np.diff([p[1] for p in visual.points(tight, np.zeros(visual.count(8)), 1792)]) >= 1).all()


GOOD: dict[str, Any] = {"scores": [30, 80], "weights": [[0] * 15, [1] * 15], "bounds": [[0, 9], [5, 1792]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [30]}, "as many"),
        ({"scores": [80, 30]}, "must rise"),
        ({"scores": [30, 95]}, "must rise"),
        ({"weights": [[0] * 15, [1] * 14]}, "15 numbers"),
        ({"weights": [[0] * 15, [float("nan")] * 15]}, "15 numbers"),
        ({"weights": [[0] * 12] * 2, "bounds": [[0, 9]] * 2}, "15 numbers"),
        ({"bounds": [[9, 0], [5, 9]]}, "bounds"),
        ({"bounds": [[0, 9], [5, 1793]]}, "bounds"),
        ({"bounds": [[0, 9], 5]}, "visual"),
        ({"scores": None}, "visual"),
        ({"more": 1}, "scores, weights and bounds"),
        ({"glance": [[0, 1]]}, "two numbers for each"),
        ({"glance": [[0, 1], [0, float("nan")]]}, "two numbers for each"),
        ({"glance": [[0, 1], [0]]}, "visual"),
        ({"glance": 1}, "visual"),
    ],
)
def test_what_breaks_the_contract_is_refused(pack: Pack, change: dict[str, Any], message: str) -> None:
    fields = json.loads(manifest.read(pack.path, manifest.NAME))
    assert manifest.parse(json.dumps(fields | {"visual": GOOD}).encode(), "x").visual is not None
    with pytest.raises(PackError, match=message):
        manifest.parse(json.dumps(fields | {"visual": GOOD | change}).encode(), "x")


def test_packs_without_it_are_plain(pack: Pack, scene: Scene, tmp_path: Path) -> None:
    for path in pack.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fields = json.loads((tmp_path / manifest.NAME).read_text())
    del fields["visual"]
    (tmp_path / manifest.NAME).write_text(json.dumps(fields))
    assert _made(scene(32, 48), 42, pack=tmp_path).level == pack.level_of(42)
