"""The table is what the stored points give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calotype.records.script import by_points
from studies.cross_metric.__main__ import JUDGES, PAIRS, SHORT, kept, main, page

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
                for name, rate in ((anchor, 2.0**k), (test, 2.0**k * factor)):
                    codec = name.replace("lab:", "lab:some/where/") + SHORT if "lab:" in name else name
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
    whole = run_of(less)
    lab, rest = (
        {**whole, key: [m for m in whole[key] if m["codec"].startswith("lab:") == own]}
        for key, own in (("measurements", True), ("measurements", False))
    )
    record = kept([rest, lab], None)
    assert record == {**kept([whole, whole], None), "points": record["points"]}
    assert record["runs"][0]["command"] == "calotype bench ever"
    assert {p["codec"] for p in record["points"]} == {name for pair in PAIRS for name in pair[:2]}
    lines = [line for line in page(record).splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(lines) == len(JUDGES)
    assert all(line.count(cell.strip("| ")) == len(PAIRS) for line in lines)
    for p in record["points"]:
        del p["vmaf"]
    text = page(record)
    assert "| VMAF |" not in text
    assert "for want of its program: VMAF." in text
