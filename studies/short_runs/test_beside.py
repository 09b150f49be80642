"""Learned systems beside classical codecs: page and numbers, weights that go on, the command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from calotype.bench.reference import reference_names
from calotype.lab import registry
from calotype.lab.checkpoint import read_info
from calotype.records.script import by_points
from studies.short_runs import beside
from studies.short_runs.beside_page import (
    ABSENT,
    FAMILIES,
    PUBLISHED,
    REFERENCE,
    UNTRAINED,
    above,
    label,
    page,
)

FOLDER = Path(__file__).parent


def test_the_page_is_what_the_results_give() -> None:
    record = json.loads((FOLDER / beside.RESULTS).read_text(encoding="utf-8"))
    text = (FOLDER / beside.PAGE).read_text(encoding="utf-8")
    assert text == page(record)
    assert by_points(record) == (FOLDER / beside.RESULTS).read_text(encoding="utf-8")
    assert text.count("**trained here for") == 2 * len(record["weights"])
    assert len(record["weights"]) >= 3
    assert text.count("published: `") == len(PUBLISHED)


def test_what_is_named_is_there() -> None:
    assert set(beside.RUNS) == set(FAMILIES) <= set(registry.names())
    assert set(PUBLISHED) <= set(FAMILIES) | set(UNTRAINED) <= set(registry.names())
    assert set(UNTRAINED) <= set(PUBLISHED)
    assert set(ABSENT) <= set(registry.names()) - set(FAMILIES) - set(PUBLISHED)
    assert {*PUBLISHED.values(), *REFERENCE.values()} <= set(reference_names("kodak"))


def test_decibels_above_a_curve() -> None:
    anchor = [(0.1, 20.0), (0.4, 30.0)]
    assert above([(0.2, 26.0)], anchor) == pytest.approx(1.0)  # halfway in the logarithm
    assert above([(0.05, 50.0), (0.1, 19.0), (0.4, 30.0), (0.5, 50.0)], anchor) == pytest.approx(-0.5)
    assert above([(0.5, 50.0)], anchor) is None


def test_labels_say_how_long() -> None:
    notes = [{"steps": 200, "processor_seconds": 30}, {"steps": 100, "processor_seconds": 15}]
    assert label(notes) == "**trained here for 0.8 minutes** of one core (200 + 100 steps)"


def test_pictures_and_command(tmp_path: Path) -> None:
    for name, size in (("small", (768, 512)), ("large", (1000, 900))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    beside.cut([tmp_path / "small.png"], [tmp_path / "large.png"], tmp_path)
    for path in (tmp_path / "kodak/small.png", tmp_path / "large/large.png"):
        with Image.open(path) as image:
            assert image.size == (768, 512)
    for name in ("jpegai-bop", "toderici2017-lstm"):
        (tmp_path / beside.WEIGHTS / name).mkdir(parents=True)
    words = beside.command(tmp_path)
    assert words[words.index("--codecs") + 1].endswith(f"lab:{tmp_path}/weights/toderici2017-lstm")
    assert f"lab:{tmp_path}/weights/toderici2017-lstm=1,2,4" in words
    assert not any(word.startswith(f"lab:{tmp_path}/weights/jpegai-bop=") for word in words)


@pytest.mark.slow
def test_training_goes_on(photographs: Callable[[int, int, int], Path], tmp_path: Path) -> None:
    data, out, cache = photographs(3, 140, 150), tmp_path / "out", tmp_path / "cache"
    runs = {"balle2018-factorized": beside.Run((0.01, 0.1), (3, 2), {"n": 8, "m": 8})}
    assert not beside.train([data], out, time.monotonic() - 1, runs, cache)
    assert beside.train([data], out, time.monotonic() + 600, runs, cache)
    files = sorted((out / beside.WEIGHTS / "balle2018-factorized").iterdir())
    notes = [read_info(file).training for file in files]
    assert [(n["lambda"], n["steps"]) for n in notes] == [(0.01, 3), (0.1, 2)]
    assert all(n["processor_seconds"] >= 0 for n in notes)
    stamps = [file.stat().st_mtime_ns for file in files]
    assert beside.train([data], out, time.monotonic() + 600, runs, cache)
    assert stamps == [file.stat().st_mtime_ns for file in files]
