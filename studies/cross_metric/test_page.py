"""The table is what the stored points give."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from calotype.records.script import by_points
from studies.cross_metric.__main__ import JUDGES, PAIRS, SHORT, added, differences, kept, main, page
from studies.cross_metric.train import KINDS, TRAIN

FOLDER = Path(__file__).parent


def test_the_page_is_what_the_results_give(tmp_path: Path) -> None:
    record = json.loads((FOLDER / "results.json").read_text())
    assert (FOLDER / "README.md").read_text() == page(record)
    (tmp_path / "results.json").write_text(by_points(record))
    assert json.loads((tmp_path / "results.json").read_text()) == record
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == page(record)


def run_of(less: dict[str, float]) -> dict[str, Any]:
    """A benchmark's results in which the second of each pair needs ``less`` of the rate, by picture."""
    points = []
    for image, factor in less.items():
        for anchor, test, _ in PAIRS:
            for k in range(4):
                metrics = dict.fromkeys(JUDGES, 30.0 + k) | {
                    "ms_ssim": 0.9 + k / 50,
                    "ms_ssim_y": 0.9 + k / 50,
                }
                metrics |= dict.fromkeys(("nlpd", "butteraugli"), 5.0 - k)
                for codec, rate in ((anchor, 2.0**k), (test, 2.0**k * factor)):
                    points.append(
                        {"codec": codec, "image": image, "quality": k, "bpp": rate, "metrics": metrics}
                    )
    codecs = {p["codec"]: {"version": "1"} for p in points}
    about = {"command": ["calotype", "bench", "/where/ever"], "commit": "c", "hardware": {"processor": "p"}}
    return {**about, "libraries": {}, "finished": "2026", "codecs": codecs, "measurements": points}


@pytest.mark.parametrize(
    ("less", "cell"),
    [
        ({"a": 0.8, "b": 0.8}, "| -20.0 % (-20.0 .. -20.0) | saves |"),
        ({"a": 1.25, "b": 1.25}, "| +25.0 % (+25.0 .. +25.0) | costs |"),
        ({"a": 0.9, "b": 1.1}, "| cannot be told |"),
    ],
)
def test_rates_by_hand(less: dict[str, float], cell: str) -> None:
    """Whatever the direction of a metric."""
    record = kept([run_of(less)], None)
    assert record["runs"][0]["command"] == "calotype bench ever"
    lines = [line for line in page(record).splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(lines) == len(JUDGES)
    assert all(line.count(cell.strip("| ")) == len(PAIRS) for line in lines)
    for p in record["points"]:
        del p["vmaf"]
    text = page(record)
    assert "| VMAF |" not in text
    assert "for want of its program: VMAF." in text


def test_the_two_trained_here() -> None:
    """Weights in two runs, by multiplier; at equal rate one is better by 1, or by a step of 0.05."""
    runs = [run_of({"a": 0.8, "b": 0.8})]
    for low, high in ((0.1, 0.2), (0.3, 0.4)):
        points: list[dict[str, Any]] = []
        codecs = {}
        for kind, more in (("mse", 0.0), ("ms-ssim", 1.0)):
            name = f"lab:{kind}{SHORT}"
            codecs[name] = {"version": "1", "quality_unit": f"0 = {low}, 1 = {high}"}
            for image, k in itertools.product("ab", (0, 1)):
                lam = (low, high)[k]
                bpp = (0.25 + lam / 100) if kind == "mse" else lam
                metrics = dict.fromkeys(JUDGES, 30.0 + more) | {"ms_ssim": 0.9, "ms_ssim_y": 0.9}
                metrics |= dict.fromkeys(("nlpd", "butteraugli"), 5.0 - more)
                metrics["vmaf"] = 10 + more * (math.log(bpp) - math.log(0.25))
                points.append(
                    {"codec": name, "image": image, "quality": float(k), "bpp": bpp, "metrics": metrics}
                )
        runs.append({**runs[0], "codecs": codecs, "measurements": points})
    each = {"steps": 9, "start steps": 99, "commit": "c"}
    training = {"system": "s", "config": {}, "train": TRAIN, "runs": [
        {"kind": kind, "lambda": lam, **each} for kind in KINDS for lam in (0.1, 0.2, 0.3, 0.4)
    ]}  # fmt: skip
    record = json.loads(json.dumps(kept(runs, training)))
    assert differences(record, "psnr_rgb") == [1.0, 1.0]
    assert differences(record, "nlpd") == [1.0, 1.0]
    expected = sum(math.log((0.25 + lam / 100) / 0.25) for lam in (0.1, 0.2, 0.3, 0.4)) / 4
    assert differences(record, "vmaf") == pytest.approx([expected] * 2, abs=1e-4)
    text = page(record)
    for line in (
        "| PSNR (RGB) | +1.00 (+1.00 .. +1.00) | better |",
        "| NLPD | +1.00 (+1.00 .. +1.00) | better |",
    ):
        assert line in text
    assert "| MS-SSIM (RGB) | +0.000 (+0.000 .. +0.000) | cannot be told |" in text
    assert "(0.251 to 0.254 bpp, those of MS-SSIM 0.100 to 0.400)" in " ".join(text.split())
    again = json.loads(json.dumps(record))
    for p in again["points"]:
        p["psnr_rgb"] *= -1
    both = added(record, {**again, "trainings": [{**training, "seed": 5}]})
    assert differences(both, "psnr_rgb", 0) == [1.0, 1.0]
    assert differences(both, "psnr_rgb", 1) == [-1.0, -1.0]
    text = page(both)
    assert "| PSNR (RGB) | +1.00 (+1.00 .. +1.00) | -1.00 (-1.00 .. -1.00) | cannot be told |" in text
    assert "| NLPD | +1.00 (+1.00 .. +1.00) | +1.00 (+1.00 .. +1.00) | better |" in text
    assert "(seed 0, 5)" in text
    assert "By one training alone more would have been seen: PSNR (RGB)." in " ".join(text.split())
    with pytest.raises(ValueError, match="nothing to add"):
        added(record, {**again, "trainings": []})
    for p in (p for p in record["points"] if p["codec"] == "lab:ms-ssim" and p["image"] == "a"):
        p["bpp"] += 1
    assert len(differences(record, "psnr_rgb")) == 1
