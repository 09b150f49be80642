"""A resumed run shrinks no results silently, and tells how long everything took and how to repeat it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.bench.conftest import scene

from calotype.bench import history, results, tables
from calotype.bench.runner import Run, Settings

pytestmark = pytest.mark.usefixtures("no_workers")
QUICK = {"metrics": ("psnr_rgb",), "timing_images": 0, "pictures": 0, "workers": 1}


def go(folder: Path, out: Path, *words: str, **more: object) -> Run:
    """One run as the command line would make it."""
    given = dict(zip(words[::2], words[1::2]))
    codecs = tuple(given.get("--codecs", "jpeg-420").split(","))
    command = ("calotype", "bench", str(folder), *words, "--out", str(out), "--resume")
    settings = Settings(out=out, codecs=codecs, command=command, **{**QUICK, "resume": True, **more})
    made = Run([folder], settings)
    made()
    return made


def test_codecs_of_earlier_runs_are_kept_and_named(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(pictures, out, "--codecs", "jpeg-420,webp", qualities={"*": (20, 80)})
    first = results.read(out)
    again = go(pictures, out, "--codecs", "jpeg-444", qualities={"*": (30, 70)})
    found = results.read(out)
    assert list(found["codecs"]) == ["jpeg-444", "jpeg-420", "webp"]
    kept = [m for m in found["measurements"] if m["codec"] != "jpeg-444"]
    assert sorted(kept, key=str) == sorted(first["measurements"], key=str)
    assert len(found["measurements"]) == 3 * 2 * 2
    assert again.notes == ["kept from earlier runs: jpeg-420, webp (--only leaves them out)"]

    dropped = go(pictures, out, "--codecs", "jpeg-444", qualities={"*": (30,)}, only=True)
    assert list(results.read(out)["codecs"]) == ["jpeg-444"]
    assert dropped.notes == [
        "left out of the results, as not asked for: jpeg-420, webp",
        "jpeg-444: left out, as not asked for: qualities 70",
    ]
    assert dropped.measured == 0
    back = go(pictures, out, "--codecs", "jpeg-420,webp,jpeg-444", qualities={"*": (20, 80)})
    assert back.measured == 4, "the journal had lost nothing"


def test_timing_and_pictures_are_kept_by_a_run_that_asks_for_none(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    more = {"timing_images": 1, "timing_repeats": 1, "pictures": 1, "picture_bpp": (0.5, 1.0)}
    go(pictures, out, "--codecs", "jpeg-420", **more)
    first = results.read(out)
    assert len(first["timing"]) == len(first["pictures"]) == 2
    assert [p["wanted_bpp"] for p in first["pictures"]] == [0.5, 1.0]
    go(pictures, out, "--codecs", "jpeg-420,webp")
    again = results.read(out)
    assert again["timing"] == first["timing"]
    assert again["pictures"] == first["pictures"]
    (out / first["pictures"][0]["file"]).unlink()
    made = go(pictures, out, "--codecs", "jpeg-420", **more)
    assert made.measured == 1, "a picture that was deleted is made again"


def test_results_without_a_journal_are_kept_too_but_only_when_resumed(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(pictures, out, "--codecs", "jpeg-420")
    before = results.read(out)
    (out / "journal.jsonl").unlink()
    for run in before["sessions"]:
        run["started"] = "2026-01-02T03:04:05+00:00"
    (out / "results.json").write_text(json.dumps(before))
    go(pictures, out, "--codecs", "webp")
    found = results.read(out)
    assert list(found["codecs"]) == ["webp", "jpeg-420"]
    assert [run["tasks"] for run in found["sessions"]] == [18, 16]
    (out / "journal.jsonl").unlink()
    go(pictures, out, "--codecs", "webp", resume=False)
    assert list(results.read(out)["codecs"]) == ["webp"]


def test_pictures_that_changed_are_not_kept(pictures: Path, tmp_path: Path) -> None:
    go(pictures, tmp_path / "out", "--codecs", "jpeg-420")
    Image.fromarray(scene(64, 96, 9)).save(pictures / "a.png")
    (pictures / "b.png").rename(pictures / "c.png")
    made = go(pictures, tmp_path / "out", "--codecs", "webp")
    found = results.read(tmp_path / "out")
    assert {m["image"] for m in found["measurements"] if m["codec"] == "jpeg-420"} == {"c.png"}
    assert "1 pictures of earlier runs are not asked for, or have changed: left out" in made.notes


def test_repeat_command_makes_all_that_is_there(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(pictures, out, "--codecs", "jpeg-420", "--qualities", "20,80", qualities={"*": (20, 80)})
    assert "--resume" not in results.read(out)["command"]
    go(pictures, out, "--codecs", "webp")
    command = results.read(out)["command"]
    start = ["calotype", "bench", str(pictures), "--codecs", "webp,jpeg-420", "--out", str(out)]
    assert command == [*start, "--qualities", "jpeg-420=20,80"]
    assert " ".join(command) in tables.command(out)


def test_times_span_all_runs(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(pictures, out, "--codecs", "jpeg-420")
    path = out / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    sessions = [line["session"] for line in lines if "session" in line]
    assert len(sessions) == 1
    # As if it had been measured on another day, in 20 seconds.
    for line in lines:
        if "session" in line:
            line["session"] |= {"started": "2026-01-02T03:04:05+00:00", "commit": "aaaaaaaaaaaa+"}
        line["at"] = "2026-01-02T03:04:25+00:00"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    go(pictures, out, "--codecs", "webp")
    found = results.read(out)
    assert found["started"] == "2026-01-02T03:04:05+00:00"
    assert found["finished"] > "2026-01-03"
    assert 20 <= found["active_seconds"] < 3600
    assert [run["tasks"] for run in found["sessions"]] == [18, 16]
    assert "`aaaaaaaaaaaa+`" in tables.table(out)
    assert "with changes not committed" in tables.table(out)
    nothing = go(pictures, out, "--codecs", "webp")
    assert nothing.measured == 0
    assert results.read(out)["sessions"] == found["sessions"], "a run that measured nothing is no session"


def test_journals_without_sessions(pictures: Path, tmp_path: Path) -> None:
    """Of runs made before there were any: what the results say of them stands for them."""
    out = tmp_path / "out"
    go(pictures, out, "--codecs", "jpeg-420")
    path = out / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    old = [{k: line[k] for k in ("key", "task", "outcome")} for line in lines if "key" in line]
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    before = results.read(out)
    del before["sessions"], before["active_seconds"]
    before |= {"started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:05+00:00"}
    (out / "results.json").write_text(json.dumps(before))
    for _ in range(2):
        go(pictures, out, "--codecs", "webp")
        found = results.read(out)
        assert [run["tasks"] for run in found["sessions"]] == [18, 16]
        assert found["started"] == "2026-01-02T03:04:05+00:00"
        assert found["active_seconds"] >= 60


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--codecs=a"], ["--codecs=a,b"]),
        ([], ["--codecs", "a,b"]),
        (["--codecs", "a", "--only"], ["--codecs", "a,b"]),
    ],
)
def test_ways_to_write_the_codecs(given: list[str], expected: list[str]) -> None:
    about = {"spec": "jpeg-444", "qualities": [2, 4, 8, 15, 28, 48, 70, 83, 92]}
    found = {"codecs": {"a": {"spec": "a", "qualities": [1]}, "b": {**about, "spec": "b"}}}
    found |= {"timing": [], "pictures": []}
    words = history.repeat(["calotype", "bench", "x", *given], found, ["a"])
    assert words[3 : 3 + len(expected)] == expected
    assert words[3 + len(expected) :] == ["--qualities", "b=2,4,8,15,28,48,70,83,92"]


def test_the_command_asks_for_what_the_results_hold() -> None:
    """Timing and pictures that are kept from an earlier run are in the one command, too."""
    runs = [
        {"command": ["calotype", "bench", "x", "--timing", "2"]},  # pictures by default
        {"command": ["calotype", "bench", "x", "--timing=0", "--pictures", "0"]},
    ]
    found = {
        "codecs": {"a": {"spec": "a", "qualities": [1]}},
        "timing": [1],
        "pictures": [1],
        "sessions": runs,
    }
    words = history.repeat(runs[1]["command"], found, ["a"])
    assert words == ["calotype", "bench", "x", "--timing", "2"]
    none = {**found, "timing": [], "pictures": []}
    assert history.repeat(runs[1]["command"], none, ["a"]) == runs[1]["command"]
