"""Pairs of whole systems: one start for all of a seed, runs that go on, what the page says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from calotype.lab.checkpoint import save_checkpoint
from studies.jpegai import whole
from studies.jpegai.decoders import shared
from studies.jpegai.whole_page import CLAIMS, effects, page, verdict

FOLDER = Path(__file__).parent
THIN = {"luma": 8, "chroma": 8, "hidden": [8, 8]}


def test_the_page_is_what_the_results_give() -> None:
    record = json.loads((FOLDER / whole.RESULTS).read_text(encoding="utf-8"))
    assert (FOLDER / whole.PAGE).read_text(encoding="utf-8") == page(record)
    seeds = {r["seed"] for r in record["runs"]}
    assert {(r["variant"], r["seed"]) for r in record["runs"]} == {
        (v, s) for v in whole.VARIANTS for s in seeds
    }
    assert len(seeds) >= 3


@pytest.mark.slow
def test_all_of_a_seed_begin_alike(tmp_path: Path) -> None:
    base = whole.build("baseline", 0, **THIN).state_dict()
    for variant in whole.VARIANTS[1:]:
        one = whole.build(variant, 0, **THIN).state_dict()
        outside = [key for key in base if not key.startswith("g_s.")]
        assert all(torch.equal(one[key], base[key]) for key in outside)
        same = [key for key in one if key in base and torch.equal(one[key], base[key])]
        assert len(same) > len(outside)
        # all that two systems have and the baseline has not is alike, too
        for other in whole.VARIANTS[1 : whole.VARIANTS.index(variant)]:
            two = whole.build(other, 0, **THIN).state_dict()
            both = {f"g_s.{key}" for key in shared([whole.name(variant), whole.name(other)], THIN)}
            assert all(torch.equal(one[key], two[key]) for key in both)
        # activations differ without other weights
        assert (len(same) == len(one)) == (variant == "activation")
    other = whole.build("baseline", 1, **THIN)
    assert not torch.equal(other.state_dict()["g_a.luma.0.weight"], base["g_a.luma.0.weight"])
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, other, {})
    common = {f"g_s.{key}" for key in shared([whole.name(v) for v in whole.VARIANTS], THIN)}
    for variant in whole.VARIANTS:
        fresh, begun = (whole.build(variant, 0, s, **THIN).state_dict() for s in (None, start))
        for key, value in begun.items():
            told = key in common or not key.startswith("g_s.")
            assert torch.equal(value, (other.state_dict() if told else fresh)[key])
    assert 0 < len(common) < sum(key.startswith("g_s.") for key in base)


def record(**losses: tuple[float, ...]) -> dict[str, Any]:
    """Runs whose J is the baseline's, and so many percent of its rate."""
    runs = []
    for variant in whole.VARIANTS:
        for seed in range(3):
            more = losses.get(variant.replace("-", "_"), (0.0, 0.0, 0.0))[seed]
            cost = 2.0 + seed + 0.5 * more / 100
            numbers = {"bpp": 0.5, "estimated_bpp": 0.49, "psnr": 25.0, "cost": cost}
            runs.append({"variant": variant, "seed": seed, "steps": 9, "commit": "abc", **numbers})
    made = {"command": "run", "commit": "abc", "finished": "2026-01-01T00:00:00", "libraries": {"torch": "2"}}
    return {
        **made, "hardware": {"processor": "P"}, "options": whole.OPTIONS, "train": whole.TRAIN,
        "lambda": 0.01, "side": 256, "pictures": ["a"], "start_train": whole.START_TRAIN,
        "start": {"steps": 99, "bpp": 0.4, "psnr": 20.0, "cost": 2.0, "commit": "abc"},
        "kmacs": dict.fromkeys(whole.VARIANTS, 3.0), "runs": runs,
    }  # fmt: skip


def test_what_pairs_say() -> None:
    given = record(attention_cs=(1.0, 1.2, 0.8), shuffle=(-9.0, -9.1, -9.2), activation=(30.0, -30.0, 0.0))
    found = effects(given)
    assert found["attention-cs"]["loss"].mean == pytest.approx(1.0)
    assert found["shuffle"]["loss"].mean == pytest.approx(-9.1)
    assert found["shuffle"]["psnr"].mean == 0
    text = page(given)
    told = ("seen", "not seen", "cannot be told at this budget", "not seen", "not seen")
    assert tuple(CLAIMS) == whole.VARIANTS[1:]
    for line, words in zip((t for t in text.splitlines() if t.startswith("* ")), told, strict=True):
        assert line.endswith(f"*{words}*.")
    larger = effects(record(shuffle=(9.0, 9.1, 9.2)))["shuffle"]["loss"]
    assert verdict("shuffle", larger) == "seen, larger than published"
    gain = effects(record(combination=(-9.0, -9.1, -9.2)))["combination"]["loss"]
    assert verdict("combination", gain) == "seen, larger than published"
    assert "3 seeds" in text
    assert "up to 0.0100 bpp" in text


@pytest.mark.slow
def test_runs_go_on_and_are_measured(
    photographs: Callable[[int, int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = photographs(3, 96, 128), tmp_path / "out"
    monkeypatch.setattr(whole, "OPTIONS", THIN)
    monkeypatch.setattr(whole, "VARIANTS", ("baseline", "shuffle"))
    given: dict[str, Any] = {"seeds": 2, "options": THIN, "steps": 2, "cache": tmp_path / "cache"}
    assert not whole.train([data], out, time.monotonic() - 1, **given)
    with pytest.raises(ValueError, match="found 0"):
        whole.measure(out, [])
    assert whole.train([data], out, time.monotonic() + 600, **given)
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob(whole.MODEL)}
    assert len(stamps) == 1 + 4  # the start, and two systems of two seeds
    assert whole.train([data], out, time.monotonic() + 600, **given)  # nothing is trained twice
    assert stamps == {p: p.stat().st_mtime_ns for p in out.rglob(whole.MODEL)}
    picture = tmp_path / "large.png"
    Image.effect_noise((300, 200), 50).convert("RGB").save(picture)
    found = whole.measure(out, [picture])
    assert len(found["runs"]) == 4
    assert {r["steps"] for r in found["runs"]} == {2}
    assert all(r["bpp"] > 0 and abs(r["bpp"] - r["estimated_bpp"]) < 0.05 for r in found["runs"])
    with Image.open(out / "pictures" / "large.png") as shown:
        assert shown.size == (256, 200)
