"""The forecast of quality: fitted as it should be, and its table is that of the stored results."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.bench import scripts
from tests.bench.conftest import scene

from calotype.bench import tables
from calotype.codec import library, manifest, visual

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return scripts.script("quality")


@pytest.mark.parametrize("name", ["quality", "quality-middle"])
def test_guide_holds_what_the_results_give(script: ModuleType, tmp_path: Path, name: str) -> None:
    stored = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    copy = tmp_path / "guide.md"
    shutil.copy(ROOT / "docs" / "guide.md", copy)
    changed = tables.insert(copy, name, script.table(stored), "benchmark")
    assert not changed, "run: python benchmarks/quality.py table ..."


def test_the_pack_has_what_was_fitted(script: ModuleType) -> None:
    stored = json.loads((ROOT / "docs" / "results" / "quality-fit.json").read_text(encoding="utf-8"))
    fields = json.loads(manifest.read(library.load().path, manifest.NAME))
    assert fields["visual"]["scores"] == list(script.SCORES)
    ours, theirs = (np.array(v["weights"]) for v in (script.fit(stored), fields["visual"]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=0.5)


def test_the_pack_trusts_windows_as_was_fitted(script: ModuleType) -> None:
    stored = json.loads((ROOT / "docs" / "results" / "quality-glance.json").read_text(encoding="utf-8"))
    fields = json.loads(manifest.read(library.load().path, manifest.NAME))
    assert script.trust(stored) == fields["visual"]["glance"]


def test_what_windows_tell_of_pictures_is_found(script: ModuleType) -> None:
    """At 20 they are two points too low, and 0.6 of what is left is the pictures'; at 80 a tenth of it."""
    rng, rows = np.random.default_rng(0), []
    for k in range(200):
        miss, count = rng.uniform(-6, 6), int(rng.integers(1, 7))
        pictures = [share * count / (count + 1) * miss for share in (0.6, 0.4, 0.2, 0.1)]
        if k % 20 == 0:
            pictures[0] += 30  # odd ones
        rows.append({"photo": "x", "count": count, "windows": [miss - 2] * 4, "pictures": pictures})
    found = script.trust({"scores": [20, 40, 60, 80], "photographs": rows})
    assert len(found) == len(script.SCORES)
    assert found[0] == pytest.approx([-2, 0.6], abs=0.5)
    assert found[1] == pytest.approx([-2, 0.5], abs=0.3)  # between 20 and 40
    assert found[-1] == pytest.approx([-2, 0.1], abs=0.02)


def test_a_glance_is_stored(script: ModuleType, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "glance.json"
    folder.mkdir()
    pixels = np.tile(scene(256, 512), (1, 1, 1))
    Image.fromarray(pixels).save(folder / "large.png")
    Image.fromarray(pixels[:100]).save(folder / "small.png")  # has no windows
    script.main(["glance", str(library.load().path), str(folder), "--out", str(out)])
    (row,) = json.loads(out.read_text(encoding="utf-8"))["photographs"]
    assert (row["photo"], row["count"]) == ("large", 1)
    assert len(row["windows"]) == len(row["pictures"]) == len(script.GLANCED)


def _photographs(count: int) -> list[dict[str, Any]]:
    """Whose score rises by 12 a level, from where the third feature says."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(count):
        features = rng.uniform(0, 1, visual.count(8))
        scores = [-5 + 20 * features[2] + 12 * k for k in range(8)]
        rows.append({"photo": "x", "features": features.tolist(), "scores": scores})
    return rows


def test_a_straight_world_is_found(script: ModuleType) -> None:
    found = visual.parse(script.fit({"photographs": _photographs(400)}), 1792)
    features = np.full(visual.count(8), 0.5)
    levels = dict(visual.points(found, features, 1792))
    assert levels[60] == pytest.approx(256 * (60 + 5 - 10) / 12, abs=15)
    features[2] = 0.9  # less the higher the curve lies; the ridge pulls a little
    assert dict(visual.points(found, features, 1792))[60] == pytest.approx(256 * (65 - 18) / 12, abs=25)


def test_photographs_of_a_pack_before_are_shifted(script: ModuleType) -> None:
    rows = _photographs(40)
    shifts = [10, 20, 30, 40, 50, 60, 70]
    plain = script.fit({"photographs": rows})
    shifted = script.fit({"photographs": [], "before": [{"photographs": rows, "shifts": shifts}]})
    moved = np.array(shifted["weights"]) - np.array(plain["weights"])
    np.testing.assert_allclose(moved[:, :-1], 0, atol=0.011)
    np.testing.assert_allclose(moved[:, -1], shifts, atol=0.011)


def test_odd_photographs_do_not_bend_it(script: ModuleType) -> None:
    rows = _photographs(100)
    plain = script.fit({"photographs": rows})
    for row in rows[:5]:
        row["scores"] = [score - 50 for score in row["scores"]]  # 1067 levels more
    bent = script.fit({"photographs": rows})
    features = np.full(visual.count(8), 0.5)
    levels = [dict(visual.points(visual.parse(f, 1792), features, 1792))[40] for f in (plain, bent)]
    assert 0 <= levels[1] - levels[0] < 15  # their mean is 53


def test_photographs_may_be_measured_at_other_levels(script: ModuleType) -> None:
    """Where scores are straight between levels, half a level higher ones say the same."""
    rows = _photographs(40)
    for row in rows:
        row["scores"] = [5 * row["features"][0] + 12 * k for k in range(8)]
    plain = script.fit({"photographs": rows})
    higher = [{**row, "scores": [score + 6 for score in row["scores"][:7]]} for row in rows]
    group = {"photographs": higher, "levels": [128 + 256 * k for k in range(7)]}
    found = script.fit({"photographs": [], "before": [group, {"photographs": rows}]})
    for score in range(1, 6):  # within what both measured
        np.testing.assert_allclose(found["weights"][score], plain["weights"][score], atol=0.05)


def test_of_large_photographs_a_part_or_less(script: ModuleType, tmp_path: Path) -> None:
    """Always the same one of a photograph, whichever others there are."""
    sizes = set()
    whole = io.BytesIO()
    Image.fromarray(scene(1200, 1500)).save(whole, "PNG", compress_level=0)
    for name in "abcdefgh":
        (tmp_path / f"{name}.png").write_bytes(whole.getvalue())
        pixels = script._part(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(pixels, script._part(tmp_path / f"{name}.png"))
        sizes.add(pixels.shape)
    wholes = {(693, 866, 3), (980, 1225, 3), (1200, 1500, 3)}  # 0.6, 1.2 and 2 megapixels, none enlarged
    assert (768, 1024, 3) in sizes
    assert sizes - {(768, 1024, 3)}
    assert sizes <= {(768, 1024, 3), *wholes}


def test_measures_fits_and_checks(script: ModuleType, tmp_path: Path) -> None:
    pack, photos = tmp_path / "pack", tmp_path / "photos"
    shutil.copytree(library.load().path, pack)
    photos.mkdir()
    for seed in range(3):
        Image.fromarray(scene(128, 144, seed)).save(photos / f"{seed}.png")
    fitted = tmp_path / "fit.json"
    assert script.main(["measure", str(pack), str(photos), "--out", str(fitted)]) == 0
    rows = json.loads(fitted.read_text())["photographs"]
    assert [len(row["scores"]) for row in rows] == [8] * 3
    assert all(row["scores"][7] > row["scores"][1] for row in rows)
    before = json.loads((pack / manifest.NAME).read_text())
    assert script.main(["fit", str(fitted), str(pack)]) == 0
    after = json.loads((pack / manifest.NAME).read_text())
    assert after.pop("visual") != before.pop("visual")
    assert after == before
    out = tmp_path / "quality.json"
    assert script.main(["check", str(photos), "--qualities", "50", "--out", str(out)]) == 0
    text = script.table(json.loads(out.read_text()))
    assert "| photos, 3 | 50 |" in text
    assert script.main(["check", str(photos), "--middle", "32", "--qualities", "50", "--out", str(out)]) == 0
    assert "| photos, middle 32, 3 | 50 |" in script.table(json.loads(out.read_text()))
