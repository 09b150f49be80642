"""The measurements of places and rates: what they count, and that the page is that of its results."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.bench.scripts import script

import calotype
from calotype.codec import bits
from calotype.codec.pack import Pack

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "places"


places, rates, learning = script("places"), script("rates"), script("learning")
ABOUT = {"pack": "01234567", "finished": "2026-01-01", "commit": None, "command": "python x"}


def curve(factor: float, errors: tuple[float, ...] = (80.0, 40.0, 20.0, 10.0)) -> dict[str, object]:
    sizes = (int(factor * size) for size in (1000, 2000, 4000, 8000))
    points = [[q, size, e] for q, size, e in zip((0, 10, 30, 100), sizes, errors)]
    return {"set": "s", "name": "a", "width": 9, "height": 9, "points": points}


def run(*pictures: dict[str, object]) -> dict[str, object]:
    return {**ABOUT, "codec": "pack", "pictures": list(pictures)}


def test_page_holds_what_the_results_give(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((RESULTS / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    assert places.main(["table", str(RESULTS), str(copy)]) == 0
    for name, old in (("rates", "rates-76b65fc1"), ("rates-avif", "rates-avif")):
        files = [RESULTS / f"{old}.json", RESULTS / "rates.json"]
        if all(path.exists() for path in files):
            assert rates.main(["compare", *map(str, files), str(copy), "--name", name]) == 0
    assert copy.read_text(encoding="utf-8") == (RESULTS / "README.md").read_text(encoding="utf-8")


def test_variance_is_that_of_whole_blocks() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = places.variances(pixels)
    assert found.shape == (2, 3)
    luma = pixels[16:32, 32:48] @ [0.299, 0.587, 0.114]
    assert found[1, 2] == pytest.approx(luma.var())


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (496, 50), (503, 50), (506, 51), (5000, 100)])
def test_nearest_size(size: int, expected: int) -> None:
    assert len(places.nearest(lambda quality: bytes(10 * quality), size)) == 10 * expected


def test_ratios_name_the_worst_residue() -> None:
    ordinary = {"set": "s", "quality": 30, "rest": 2.0, "columns": 2.0, "rows": 2.0}
    ordinary |= {"columns inside": 2.0, "rows inside": 2.0, "pictures": 24}
    rows = [ordinary | {"width": 320 + k, "height": 320 + k} for k in range(4)]
    rows[3]["columns"] = 6.0
    rows.append(rows[3] | {"set": "t", "pictures": 8, "columns": 10.0})  # counts a third of the others
    told = "\n".join(places.borders_table(rows))
    assert "Photographs: 32;" in told
    assert "| 30 | last 4 columns | the rest | 1.62 | 3.50 | 3 |" in told
    assert "| 30 | last 4 rows | the rest | 1.00 | 1.00 | 0 |" in told


def test_borders_are_means_over_pictures_however_they_are_put_together() -> None:
    errors = ("rest", "columns", "rows", "columns inside", "rows inside")
    named = {"set": "s", "quality": 30, "width": 320, "height": 337}
    rows = [named | dict.fromkeys(errors, error) for error in (1.0, 2.0, 6.0)]
    other = named | {"width": 321} | dict.fromkeys(errors, 5.0)
    found = places.together([*places.together([*rows[:2], other]), rows[2]])
    assert found == [
        named | {"pictures": 3} | dict.fromkeys(errors, 3.0),
        other | {"pictures": 1},
    ]


def test_classes_compare_means_over_pictures() -> None:
    def row(ours: float, avif: float) -> dict[str, object]:
        empty = {"blocks": 0, "mse": None}
        classes = [{"blocks": 3, "mse": [ours, avif]}, empty, empty, {"blocks": 1, "mse": [9.0, 9.0]}]
        return {"set": "s", "quality": 20, "classes": classes}

    told = places.table({**ABOUT, "kind": "flat", "rows": [row(4.0, 1.0), row(2.0, 2.0)]})
    assert "| s | 20 | below 2 | 75 % | 3.00 | 1.50 | 2.00 | 4.00 |" in told
    assert "2 to 20" not in told


def test_bd_rate_of_each_picture() -> None:
    told = rates.compare(run(curve(1.0)), run(curve(0.9)))
    assert "| a | -10.0 % | -10.0 % |" in told
    bent = rates.compare(run(curve(1.0, (80.0, 85.0, 20.0, 10.0))), run(curve(1.0)))
    assert (
        "| a | -0.0 %" in bent or "| a | +0.0 %" in bent
    )  # the point that is worse for more bits does not count
    with pytest.raises(ValueError, match="no picture in common"):
        rates.compare(run(curve(1.0)), run())


def test_curves_taken_from_a_benchmark() -> None:
    image = {"name": "a.png", "path": "s/a.png", "width": 9, "height": 7}
    rows = [
        {"codec": codec, "image": "a.png", "quality": q, "bytes": 10 * q, "metrics": {"psnr_rgb": 20.0}}
        for codec in ("x", "y")
        for q in (3, 1)
    ]
    bench = {"images": [image], "measurements": rows, "codecs": {"x": {"version": "v 1, pack p 01234567"}}}
    bench |= dict.fromkeys(("commit", "hardware", "libraries", "finished"), "") | {"command": ["a", "b"]}
    found = rates.taken(bench, "x")
    assert (found["codec"], found["command"]) == ("pack 01234567", "a b")
    (picture,) = found["pictures"]
    assert picture["points"] == [[1, 10, 650.25], [3, 30, 650.25]]
    assert (picture["set"], picture["name"], picture["height"]) == ("s", "a", 7)
    with pytest.raises(ValueError, match="no measurements of z"):
        rates.taken(bench, "z")


def test_parts_are_all_of_a_file_and_agree_with_the_count(tiny: Pack) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    data = calotype.encode(pixels, 60, pack=tiny)
    found, counted = places.parts(data, tiny), bits.count(data, pack=tiny)
    assert sum(found.values()) == pytest.approx(8 * len(data))
    low = {name: found[name] for name in places.LOW_PARTS}
    assert all(bits > 0 for bits in low.values())
    assert sum(low.values()) == pytest.approx(counted.low.sum())
    assert 0 < found["headers, rounding"] < 8 * 100


def test_parts_count_tiles_of_pixels_apart(tiny: Pack) -> None:
    pixels = np.zeros((40, 200, 3), np.uint8)
    pixels[:, :64] = np.random.default_rng(1).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    data = calotype.encode(pixels, 100)
    found = places.parts(data, None)
    assert found["z"] == 0
    assert 0 < 8 * len(data) - found["tiles of pixels"] == found["headers, rounding"]


def test_figure_of_learning_is_drawn_to_scale() -> None:
    drawn = ElementTree.fromstring(learning.figure([(0, 10.0), (50, 0.0), (100, -10.0)], "01234567"))
    dots = [(float(e.get("cx", 0)), float(e.get("cy", 0))) for e in drawn if e.tag.endswith("circle")]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x0 < x1 < x2
    assert y0 < y1 < y2
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.1)
    told = [e.text for e in drawn if e.tag.endswith("text")]
    assert {"0 %", "-10 %", "+10 %", "100"} <= set(told)
    with pytest.raises(ValueError, match="two validations"):
        learning.figure([(0, 1.0)], "01234567")
