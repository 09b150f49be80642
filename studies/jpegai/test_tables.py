"""Complexity and ablation of JPEG AI's decoders: values, text, pages, bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from calotype.lab.models import jpegai, jpegai2023
from studies.jpegai import ablation, complexity, text

FOLDER = Path(__file__).parent
STORED = FOLDER / "complexity.json"


@pytest.fixture(scope="module")
def counted() -> dict:
    return complexity.measure(timed=False)


@pytest.mark.slow
def test_rows(counted: dict) -> None:
    assert [r["name"] for r in counted["variants"]] == list(jpegai2023.VARIANTS)
    assert [r["name"] for r in counted["final"]] == ["HOP", "BOP", "SOP"]
    base, cs, ds, shuffle, act, both = (r["kmacs"] for r in counted["variants"])
    for rule in text.RULES:
        assert both[rule] < cs[rule] < ds[rule] < shuffle[rule] < base[rule] == act[rule]
    saved = base["exact"] - cs["exact"] + base["exact"] - shuffle["exact"]
    assert both["exact"] == pytest.approx(base["exact"] - saved)  # the savings add up
    assert f"{counted['wirings'][3]['kmacs']['biases']:.1f}" == "213.3"  # TAM at both resolutions
    assert f"{counted['wirings'][6]['kmacs']['biases']:.1f}" == "118.3"  # CAB, then CS
    assert f"{counted['wirings'][7]['kmacs']['biases']:.1f}" == "136.1"  # CAB, then DS


@pytest.mark.slow
def test_text(counted: dict) -> None:
    page = text.render(counted)
    for published in ("833 (text), 852 (abstract)", "172.1 (text), 180 (abstract)", "up to -75 %"):
        assert published in page
    assert "131.18 + 14.33" in page
    assert text.differences(counted) in page
    tables = [block for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    assert all(len({len(line) for line in table.splitlines()}) == 1 for table in tables)  # columns line up


@pytest.mark.slow
def test_what_the_text_says_of_the_wirings(counted: dict) -> None:
    """The percentages and the near misses that the list of differences names."""
    exact = {r["name"]: r["kmacs"]["exact"] for r in counted["wirings"]}
    saved = {name: 100 - 100 * v / exact["RNAB, then RNAB"] for name, v in exact.items()}
    assert round(saved["RNAB, then CS"]) == 73
    assert round(saved["RNAB, then DS"]) == 71
    assert round(saved["TAM, then TAM"]) == 74
    others = [v for name, v in saved.items() if name[:3] in ("TAM", "CAB") and name != "TAM, then TAM"]
    assert round(min(others)) == 84
    assert round(max(others)) == 88
    for row in [*counted["variants"], *counted["wirings"]]:
        for value in row["kmacs"].values():
            assert abs(value - 172.1) > 1
            assert abs(value - 180) > 1


@pytest.mark.slow
def test_times_are_measured() -> None:
    timed = complexity.row("sop", size=64, repeats=1)
    assert timed.seconds is not None
    assert timed.seconds > 0
    entropy = complexity.EntropyOnly(8, 8)
    assert complexity.entropy_seconds(entropy, size=64, repeats=1) > 0


@pytest.mark.slow
def test_the_page_is_the_stored_table(counted: dict) -> None:
    """The page's table is that of the stored results, and these are what the code counts today."""
    stored = json.loads(STORED.read_text())
    assert (FOLDER / "complexity.md").read_text() == text.render(stored) + "\n"
    for part in ("variants", "final", "wirings"):
        for old, new in zip(stored[part], counted[part], strict=True):
            assert old["name"] == new["name"]
            assert old["parameters"] == new["parameters"]
            assert old["kmacs"] == pytest.approx(new["kmacs"])


@pytest.mark.slow
def test_command(
    counted: dict, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complexity.main(["--stored", str(STORED)]) == 0
    assert "Where this differs from the paper" in capsys.readouterr().out
    monkeypatch.setattr(complexity, "measure", lambda **_: counted)  # it has been counted once
    assert complexity.main(["--no-time", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["command"] == "python -m studies.jpegai.complexity --no-time --json"
    assert made["hardware"]["processor"]
    assert made["libraries"]["torch"]
    assert made["variants"] == counted["variants"]
    (tmp_path / "bad.json").write_text("[1]")
    for wrong in (
        ["--stored", str(tmp_path / "none")],
        ["--stored", str(tmp_path / "bad.json")],
        ["--size", "100"],
    ):
        with pytest.raises(SystemExit) as stop:
            complexity.main(wrong)
        assert stop.value.code == 2
        assert wrong[1] in capsys.readouterr().err or wrong[0] == "--size"


# -- the ablation script


def test_the_page_of_the_ablation_is_what_the_results_give() -> None:
    record = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    assert (FOLDER / ablation.PAGE).read_text(encoding="utf-8") == ablation.page(record)
    assert ablation.summary(record["points"], record["metrics"]) == record["summary"]


@pytest.mark.slow
def test_ablation_configuration(tmp_path: Path) -> None:
    config = ablation.Config.load(ablation.CONFIG)
    assert config.variants == list(jpegai2023.VARIANTS)
    costs = ablation.costs(config)
    assert costs["combination"] < costs["attention-cs"] < costs["attention-ds"] < costs["baseline"]
    good = json.loads(ablation.CONFIG.read_text())
    for change, message in (
        ({"width": 3}, "width"),
        ({"variants": ["combination"]}, "baseline first"),
        ({"variants": ["baseline", "best"]}, "variants are"),
        ({"lambda": [0.1]}, "two or more"),
    ):
        path = tmp_path / "c.json"
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=message):
            ablation.Config.load(path)


def test_ablation_summary() -> None:
    """10 % more bits at equal quality are a BD-rate of +10 % in every metric and on average."""
    metrics = ablation.JPEG_AI

    def curve(factor: float, picture: int) -> list[dict[str, float]]:
        points = []
        for k in range(4):
            quality = {
                m: 0.9 + 0.02 * k if m in ("ms_ssim_y", "fsim", "iw_ssim") else 20.0 + k for m in metrics
            }
            quality["nlpd"] = 0.5 - 0.1 * k  # a distance
            points.append({"lambda": 2.0**k, "bpp": factor * (picture + 1) * 0.1 * 1.7**k, **quality})
        return points

    found = {
        name: {f"{p}.png": curve(factor, p) for p in range(3)}
        for name, factor in (("baseline", 1.0), ("attention-cs", 1.1), ("shuffle", 0.95))
    }
    table = ablation.summary(found, metrics)
    for name, percent in (("baseline", 0.0), ("attention-cs", 10.0), ("shuffle", -5.0)):
        assert table[name] == pytest.approx(dict.fromkeys([*metrics, "average"], percent))
    for points in found["shuffle"].values():
        for q in points:
            q["vmaf"] = 50.0  # never as good or as bad as the baseline's
    assert ablation.summary(found, metrics)["shuffle"]["average"] is None
    results = {
        "metrics": metrics, "summary": table, "kmacs": dict.fromkeys(table, 1.0), "pictures": ["a", "b", "c"],
        "config": {"lambdas": [1, 2, 4, 8], "options": {}, "train": {"steps": 5, "batch": 2, "crop": 64}},
    }  # fmt: skip
    page = ablation.render(results)
    assert page.count("+10.00") == len(metrics) + 1
    assert "4 lambdas of 5 steps" in page
    assert math.isfinite(table["shuffle"]["average"])


def test_ablation_needs_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(tmp_path), "--images", str(tmp_path), "--out", str(tmp_path / "out")]
    assert ablation.main(words) == 1
    assert "no pictures" in capsys.readouterr().err


def test_points_are_all_synthesised_by_name() -> None:
    assert isinstance(complexity.synthesis("bop"), jpegai.JpegAISynthesis)
    assert complexity.synthesis("TAM, then DS").luma is not None
