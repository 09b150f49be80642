"""The page of short runs is what the stored results say, and a run stores what it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calotype.lab import registry
from studies.short_runs import __main__ as short_runs
from studies.short_runs.__main__ import RESULTS, TABLE
from studies.short_runs.page import learned, line, markdown

FOLDER = Path(__file__).parent


def test_the_page_is_what_the_results_give() -> None:
    record = json.loads((FOLDER / RESULTS).read_text(encoding="utf-8"))
    shown = (FOLDER / TABLE).read_text(encoding="utf-8")
    assert shown == markdown(record), f"python -m studies.short_runs --out {FOLDER.name}"
    names = [row["name"] for row in record["systems"]]
    assert len(names) == len(set(names))
    assert set(names) <= set(registry.names())
    assert all(map(learned, record["systems"]))


def test_each_distinct_system_once() -> None:
    names = short_runs.systems()
    assert {"balle2017", "cheng2020-mixture", "liu2023-tcm-small"} < set(names)
    assert "liu2023-tcm-large" not in names  # the same narrow network
    assert short_runs.systems(["minnen2018*"]) == ["minnen2018-mean-scale", "minnen2018-autoregressive"]
    with pytest.raises(ValueError, match="no system is called 'y'"):
        short_runs.systems(["y"])


@pytest.mark.slow
def test_some_steps_of_two_systems(photographs: Callable[[int, int, int], Path], tmp_path: Path) -> None:
    photos, out = photographs(4, 140, 150), tmp_path / "out"
    given = ["--out", str(out), "--steps", "25", "--seconds-per-model", "600", "--only"]
    given += ["balle2017", "minnen2018-autoregressive"]
    assert short_runs.main(["--data", str(photos), "--cache", str(tmp_path / "cache"), *given]) == 0
    text = (out / RESULTS).read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    record = json.loads(text)
    assert record["photographs"]["photographs"] == 4
    for row, name in zip(record["systems"], ["balle2017", "minnen2018-autoregressive"], strict=True):
        assert row["name"] == name
        assert row["steps"] == 25
        assert row["parameters"] == sum(
            p.numel() for p in registry.build(name, **registry.entry(name).thin).parameters()
        )
        assert row["last_loss"] < row["first_loss"]
        assert row["held_out_after"]["loss"] < row["held_out_before"]["loss"]
        assert [(f["height"], f["width"]) for f in row["files"]] == [(140, 150)] * 2  # two are held out
        assert all(f["exact"] and f["bytes"] > 20 for f in row["files"])
    page = (out / TABLE).read_text(encoding="utf-8")
    assert page == markdown(record)
    assert "| balle2017 | 11,099 |" in page
    # the page alone is made again without photographs
    (out / TABLE).unlink()
    assert short_runs.main(["--out", str(out)]) == 0
    assert (out / TABLE).read_text(encoding="utf-8") == page


def test_some_systems_again(tmp_path: Path) -> None:
    """Rows of other systems stay, new ones say how they were made; other photographs are another matter."""
    old = json.loads((FOLDER / RESULTS).read_text(encoding="utf-8"))
    again = {
        **old,
        "systems": [{**old["systems"][1], "steps": 7}],
        "seconds_per_model": 99.0,
        "command": "again",
    }
    new = short_runs.merged(old, again)
    assert [r["name"] for r in new["systems"]] == [r["name"] for r in old["systems"]]
    assert [r["steps"] for r in new["systems"]][:2] == [old["systems"][0]["steps"], 7]
    page = markdown(new)
    assert f"| {old['systems'][1]['name']} (own) |" in page
    assert "(own) Run for 99 seconds" in page
    assert old["command"] in page
    with pytest.raises(ValueError, match="another photographs"):
        short_runs.merged(old, {**again, "photographs": {}})


def row(**changes: Any) -> dict[str, Any]:
    file = {"height": 64, "width": 64, "bytes": 300, "estimated_bytes": 290.0, "psnr": 20.0, "exact": True}
    found = {"name": "a", "parameters": 1, "steps": 9, "first_loss": 9.0, "last_loss": 2.0}
    found |= {"held_out_before": {"loss": 9.0}, "held_out_after": {"loss": 2.0}, "files": [file]}
    for key, value in changes.items():
        if key in file:
            file[key] = value
        else:
            found[key] = value
    return found


@pytest.mark.parametrize(
    "changes",
    [{"last_loss": 9.5}, {"held_out_after": {"loss": 9.5}}, {"exact": False}, {"failure": "not finite"}],
)
def test_what_went_wrong_is_noticed(changes: dict[str, Any]) -> None:
    assert learned(row())
    assert not learned(row(**changes))


def test_files_that_are_too_long_are_marked() -> None:
    assert "| 0.5859 | 0.5664 |" in line(row())
    assert "| **0.7812** | 0.5664 |" in line(row(bytes=400))
    assert "**no**" in line(row(exact=False))
    assert "**not finite**" in line(row(failure="not finite"))
