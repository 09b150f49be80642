"""Runs: all measurements are made, failures are recorded and harmless, a resumed run repeats and loses
nothing.
"""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.bench.conftest import scene

from calotype.bench import results
from calotype.bench.errors import BenchError
from calotype.bench.runner import Run, Settings, find_images, run

QUICK = {"metrics": ("psnr_rgb",), "timing_images": 0, "pictures": 0, "workers": 1}


def journal(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def measured(folder: Path) -> list[str]:
    return [line["key"] for line in journal(folder) if "key" in line and line["task"]["kind"] != "probe"]


def test_measures_everything(pictures: Path, tmp_path: Path) -> None:
    settings = Settings(
        out=tmp_path / "out",
        codecs=("jpeg-420", "webp", "bpg-444" if not _has("bpg-444") else "vtm-444"),
        qualities={"jpeg-420": (20, 80), "*": (10, 50, 90)},
        metrics=("psnr_rgb",),
        timing_images=1,
        timing_repeats=2,
        pictures=1,
        picture_bpp=(1.0,),
        command=("calotype", "bench"),
    )
    found = run([pictures], settings)
    assert found == results.read(tmp_path / "out")
    assert found["schema"], found["schema_version"] == ("calotype-bench", 1)
    assert len(found["measurements"]) == 2 * (2 + 3)
    assert [m["codec"] for m in found["missing"]] == [settings.codecs[2]]
    assert found["missing"][0]["reason"]
    assert not found["failures"]
    for m in found["measurements"]:
        original = np.asarray(Image.open(pictures / m["image"]))
        assert m["bpp"] == pytest.approx(8 * m["bytes"] / (original.shape[0] * original.shape[1]))
        assert 15 < m["metrics"]["psnr_rgb"] < 60
        assert m["encode"]["seconds"] > 0
        assert m["decode"]["mp_per_s"] > 0
    again = Image.open(pictures / "a.png").convert("RGB")
    path = tmp_path / "x.jpg"
    again.save(path, quality=80, subsampling="4:2:0", optimize=True)
    point = next(
        m
        for m in found["measurements"]
        if (m["codec"], m["image"], m["quality"]) == ("jpeg-420", "a.png", 80)
    )
    assert point["bytes"] == path.stat().st_size
    difference = np.asarray(again, float) - np.asarray(Image.open(path), float)
    assert point["metrics"]["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / np.mean(difference**2)))

    assert {(t["codec"], t["threads"]) for t in found["timing"]} == {
        (c, t) for c in ("jpeg-420", "webp") for t in (1, "all")
    }
    assert all(t["encode"]["runs"] == 2 for t in found["timing"])
    for picture in found["pictures"]:
        assert Image.open(tmp_path / "out" / picture["file"]).size == (96, 64)
    for name in ("processor", "cores", "memory_gib", "python"):
        assert found["hardware"][name]
    assert found["codecs"]["webp"]["version"].startswith("Pillow")
    with (tmp_path / "out" / "measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["bpp"]) for r in rows] == [m["bpp"] for m in found["measurements"]]


def _has(name: str) -> bool:
    from calotype.bench import codecs

    return codecs.get(name).available()


def test_failures_are_recorded_and_the_run_goes_on(pictures: Path, bad_codecs: Path, tmp_path: Path) -> None:
    (pictures / "broken.png").write_bytes((pictures / "a.png").read_bytes()[:700])
    (pictures / "text.png").write_text("not a picture")
    settings = Settings(
        out=tmp_path / "out", codecs=(str(bad_codecs),), **{**QUICK, "timeout": 5.0, "workers": 2}
    )
    found = run([pictures], settings)
    kinds = {(f["codec"], f["quality"]): (f["kind"], f["message"]) for f in found["failures"] if f["codec"]}
    assert {key: kind for key, (kind, _) in kinds.items()} == {
        ("raises", 2): "codec-error",
        ("crashes", 2): "crash",
        ("hangs", 2): "timeout",
        ("leaves", 2): "crash",
        ("none", 2): "codec-error",
        ("shrinks", 2): "wrong-size",
        ("floats", 2): "wrong-size",
    }
    assert kinds["raises", 2][1] == "encode: ValueError: no such quality"
    assert "SIGSEGV" in kinds["crashes", 2][1]
    assert "exit status 7" in kinds["leaves", 2][1]
    assert "(64, 95, 3)" in kinds["shrinks", 2][1] or "(72, 79, 3)" in kinds["shrinks", 2][1]
    broken = {f["image"]: f["kind"] for f in found["failures"] if f["codec"] is None}
    assert broken == {"broken.png": "corrupt-image", "text.png": "corrupt-image"}
    told = {f["image"]: f["message"] for f in found["failures"]}["text.png"]
    assert told == "not a picture, or of a kind that Pillow cannot read"
    # Everything else was measured: seven codecs at quality 1 on two pictures, without loss.
    assert len(found["measurements"]) == 14
    assert all("infinite" in m["metric_errors"]["psnr_rgb"] for m in found["measurements"])


@pytest.mark.usefixtures("no_workers")
def test_resume_repeats_nothing(pictures: Path, tmp_path: Path) -> None:
    settings = {"out": tmp_path / "out", "codecs": ("jpeg-420",), "qualities": {"*": (20, 80)}, **QUICK}
    first = run([pictures], Settings(**settings))
    with pytest.raises(BenchError, match="--resume"):
        Run([pictures], Settings(**settings))
    before = measured(tmp_path / "out")
    again = Run([pictures], Settings(**settings, resume=True))
    assert again()["measurements"] == first["measurements"]
    assert again.measured == 0
    assert measured(tmp_path / "out") == before

    # More qualities or a new picture add to it; a changed picture or another metric is measured anew.
    more = Run([pictures], Settings(**{**settings, "qualities": {"*": (20, 50, 80)}}, resume=True))
    more()
    assert more.measured == 2
    Image.fromarray(scene(64, 96, 9)).save(pictures / "a.png")
    changed = Run([pictures], Settings(**settings, resume=True))
    changed()
    assert changed.measured == 2
    metric = Run([pictures], Settings(**{**settings, "metrics": ("psnr_rgb", "psnr_y")}, resume=True))
    found = metric()
    assert metric.measured == 4
    assert all(m["metrics"].keys() == {"psnr_rgb", "psnr_y"} for m in found["measurements"])


@pytest.mark.usefixtures("no_workers")
def test_failed_tasks_are_tried_again_only_when_asked(
    pictures: Path, bad_codecs: Path, tmp_path: Path
) -> None:
    settings = {"out": tmp_path / "out", "codecs": (f"{bad_codecs}:shrinks",), **QUICK, "resume": True}
    run([pictures], Settings(**settings))
    kept = Run([pictures], Settings(**settings))
    assert [f["kind"] for f in kept()["failures"]] == ["wrong-size"] * 2
    assert kept.measured == 0
    retried = Run([pictures], Settings(**settings, retry_failed=True))
    retried()
    assert retried.measured == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sent", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_interrupt_loses_and_repeats_nothing(pictures: Path, tmp_path: Path, sent: signal.Signals) -> None:
    out = tmp_path / "out"
    options = ["--codecs", "jpeg-444,webp", "--qualities", ",".join(str(q) for q in range(2, 100, 5))]
    options += ["--metrics", "psnr_rgb", "--out", str(out), "--timing", "0", "--pictures", "0"]
    options += ["--workers", "2", "--no-report"]
    command = [sys.executable, "-m", "calotype", "bench", str(pictures), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        while not (out / "journal.jsonl").exists() or len(journal_lines(out)) < 15:
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.02)
        child.send_signal(sent)
        told = child.stderr.read()
        assert child.wait() != 0
    if sent == signal.SIGINT:
        assert "--resume" in told
        assert "Traceback" not in told
    before = [line for line in journal_lines(out) if line.endswith("}")]
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    keys = measured(out)
    assert len(keys) == len(set(keys)) == 2 * 2 * 20
    assert (out / "journal.jsonl").read_text().startswith("\n".join(before))
    assert len(results.read(out)["measurements"]) == 2 * 2 * 20


def journal_lines(folder: Path) -> list[str]:
    return (folder / "journal.jsonl").read_text().splitlines()


@pytest.mark.usefixtures("no_workers")
def test_line_cut_short_is_measured_again(pictures: Path, tmp_path: Path) -> None:
    settings = {"out": tmp_path / "out", "codecs": ("jpeg-420",), "qualities": {"*": (20, 80)}, **QUICK}
    first = run([pictures], Settings(**settings))
    path = tmp_path / "out" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    again = Run([pictures], Settings(**settings, resume=True))
    assert again.journal.dropped == 1
    found = again()
    assert again.measured == 1
    strip = [{k: v for k, v in m.items() if k not in ("encode", "decode")} for m in found["measurements"]]
    assert strip == [
        {k: v for k, v in m.items() if k not in ("encode", "decode")} for m in first["measurements"]
    ]


@pytest.mark.usefixtures("no_workers")
def test_codecs_that_cannot_be_asked_are_missing(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module_x")
    (tmp_path / "silent.py").write_text(
        "from calotype.bench.codecs.webp import Webp\n"
        "class Silent(Webp):\n"
        "    name = 'silent'\n"
        "    def version(self): raise OSError('no library')\n"
        "    def complexity(self): raise OSError('no library')\n"
        "CODECS = [Silent()]\n"
    )
    files = (str(tmp_path / "broken.py"), str(tmp_path / "silent.py"))
    settings = Settings(out=tmp_path / "out", codecs=(*files, "jpeg-420"), qualities={"*": (50,)}, **QUICK)
    found = run([pictures], settings)
    assert len(found["measurements"]) == 2
    assert {m["codec"]: m["reason"].split(": ", 1)[1] for m in found["missing"]} == {
        "broken": "ModuleNotFoundError: No module named 'no_such_module_x'",
        "silent": "OSError: no library",
    }


@pytest.mark.usefixtures("no_workers")
def test_pictures_are_shown_at_the_nearest_rate_and_that_is_told(pictures: Path, tmp_path: Path) -> None:
    settings = {"codecs": ("jpeg-420",), "qualities": {"*": (30, 40)}, **QUICK}
    shown = {"picture_names": ("b",), "picture_bpp": (0.01, 1.0)}
    made = Run([pictures], Settings(out=tmp_path / "out", **{**settings, **shown}))
    found = made()["pictures"]
    assert [(p["image"], p["wanted_bpp"]) for p in found] == [("b.png", 0.01), ("b.png", 1.0)]
    assert found[0]["quality"] == 30
    assert made.notes[0] == (
        f"jpeg-420 has no quality near 0.01 bpp, its nearest is shown: b.png at {found[0]['bpp']:.3f} bpp"
    )
    with pytest.raises(BenchError, match=r"--pictures c\.png: no such picture; did you mean"):
        Run([pictures], Settings(out=tmp_path / "o", picture_names=("c.png",), **settings))


def test_two_runs_cannot_share_a_folder(pictures: Path, tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "out", codecs=("jpeg-420",), **QUICK, resume=True)
    Run([pictures], settings)  # holds the journal
    first = Run([pictures], Settings(out=tmp_path / "other", codecs=("jpeg-420",), **QUICK))
    with pytest.raises(BenchError, match="another run"):
        Run([pictures], Settings(out=tmp_path / "other", codecs=("jpeg-420",), **QUICK, resume=True))
    first.journal.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ("psnr",)}, "unknown metric 'psnr'"),
        ({"engine": "slurm"}, "unknown engine"),
        ({"timeout": 0.0}, "timeout"),
        ({"workers": -1}, "workers"),
    ],
)
def test_wrong_settings(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Settings(out=tmp_path, **change)


def test_wrong_places(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such picture"):
        find_images([tmp_path / "nowhere"])
    with pytest.raises(BenchError, match="no pictures in"):
        find_images([tmp_path])
    with pytest.raises(BenchError, match=r"no results\.json"):
        results.read(tmp_path)
    (tmp_path / "results.json").write_text('{"schema": "calotype-bench", "schema_version": 99}')
    with pytest.raises(BenchError, match="version 99"):
        results.read(tmp_path)


def test_ray_cluster(pictures: Path, bad_codecs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    settings = {
        "codecs": ("jpeg-420", f"{bad_codecs}:crashes", f"{bad_codecs}:hangs"),
        **QUICK,
        "timeout": 15.0,
    }
    (pictures / "broken.png").write_bytes((pictures / "a.png").read_bytes()[:700])
    ray = run([pictures], Settings(out=tmp_path / "ray", **settings, engine="ray"))
    local = run([pictures], Settings(out=tmp_path / "local", **settings))
    assert ray["engine"]["engine"] == "ray"
    assert ray["engine"]["nodes"] == [{"cpus": 2.0}]
    keep = ("codec", "image", "quality", "bytes", "sha256", "metrics")
    for a, b in zip(ray["measurements"], local["measurements"], strict=True):
        assert {k: a[k] for k in keep} == {k: b[k] for k in keep}
    kinds = [(f["codec"], f["image"], f["kind"]) for f in ray["failures"]]
    assert kinds == [(f["codec"], f["image"], f["kind"]) for f in local["failures"]]
    assert {"crash", "timeout", "corrupt-image"} <= {kind for _, _, kind in kinds}
