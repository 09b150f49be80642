"""The scripts in benchmarks say what is wrong with their input in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.bench.conftest import scene
from tests.bench.scripts import script

from calotype.bench import codecs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("effort", ["table", "nowhere.json", "page.md"], "nowhere.json: no such file or directory"),
        (
            "effort",
            ["table", "bad/results.json", "page.md"],
            "bad/results.json: cannot be used: no 'files'",
        ),
        (
            "sheet",
            ["nowhere", "--out", "sheet"],
            "nowhere/large/clic25_0369d229ba4c.png: no such file or directory",
        ),
        ("codec", ["nowhere.jpg"], "nowhere.jpg: no such file or directory"),
    ],
)
def test_scripts_say_what_is_wrong_in_one_line(
    name: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "results.json").write_text('{"metrics": []}')
    monkeypatch.chdir(tmp_path)
    assert script(name).main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{name}.py: ")
    assert message in told
    assert told.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad"]


def test_the_sheet_finds_the_size() -> None:
    """Codecs whose quality falls as its number rises, too."""
    sheet, image = script("sheet"), scene(120, 160)
    codec = codecs.get("webp")
    turned = type("Turned", (type(codec),), {"encode": lambda s, i, q: codec.encode(i, 100 - q)})()
    turned.qualities = tuple(100 - q for q in codec.qualities)
    for one in (codec, turned):
        size, decoded = sheet.made(one, image, 0.6)
        assert size == pytest.approx(0.6, rel=0.15)
        assert decoded.shape == image.shape


def test_a_sheet_shows_one_size_and_all_of_the_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every codec beside the size of AVIF's file, in the order that was asked for."""
    sheet, image = script("sheet"), scene(264, 400)
    image[::2, ::2] = np.clip(image[::2, ::2] + np.array([30, -20, 30]), 0, 255)  # noise in colour
    Image.fromarray(image).save(tmp_path / "one.png")
    monkeypatch.setattr(sheet, "CROPS", {"a detail": ("one.png", (0, 0))})
    made, tried = sheet.made, []
    monkeypatch.setattr(
        sheet, "made", lambda codec, *to: tried.append((codec.name, to[1])) or made(codec, *to)
    )
    words = [str(tmp_path), "--bpp", "1", "--codecs", "webp", "avif-444", "--out", str(tmp_path / "out")]
    assert sheet.main(words) == 0
    (row,) = json.loads((tmp_path / "out" / "sheet.json").read_text())["details"]
    (first, size), (second, to) = tried
    assert (first, size, second) == ("avif-444", 1, "webp")
    assert row["avif-444"]["bpp"] == round(to, 4) != size
    assert to == pytest.approx(size, rel=0.1)
    corner, step = sheet.GAP + sheet.LABEL, 400 + sheet.GAP
    for times, original in ((1, image), (2, image[66:198, 100:300].repeat(2, 0).repeat(2, 1))):
        with Image.open(tmp_path / "out" / f"sheet-{times}x.avif") as file:
            drawn = np.asarray(file.convert("RGB")).astype(int)
        assert drawn.shape == (corner + 264 + sheet.GAP, 3 * step + sheet.GAP, 3)
        panels = [drawn[corner:, sheet.GAP + k * step :][:264, :400] for k in range(3)]
        wrong = [np.abs(panel - original).mean() for panel in panels]
        assert wrong[0] < min(4, *wrong[1:])
