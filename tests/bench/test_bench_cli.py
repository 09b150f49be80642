"""``calotype bench`` on the command line: what it prints, and one clear line when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calotype.bench.report import figures
from calotype.cli import main

QUIET = ["--timing", "0", "--pictures", "0", "--workers", "1"]


def test_run_list_and_report(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])  # test_report.py looks at them
    out = tmp_path / "out"
    options = [
        "--codecs",
        "jpeg-420,webp,bpg-444,vtm-444",
        "--qualities",
        "jpeg-420=20,80",
        "--qualities",
        "30,60",
    ]
    assert (
        main(["bench", str(pictures / "a.png"), *options, "--metrics", "psnr_rgb", "--out", str(out), *QUIET])
        == 0
    )
    told = capsys.readouterr()
    assert "4 measurements" in told.out
    assert "report.html" in told.out
    found = json.loads((out / "results.json").read_text())
    assert [(m["codec"], m["quality"]) for m in found["measurements"]] == [
        ("jpeg-420", 20),
        ("jpeg-420", 80),
        ("webp", 30),
        ("webp", 60),
    ]
    assert found["command"][:2] == ["calotype", "bench"]
    for codec in found["missing"]:
        assert f"{codec['codec']} is left out: {codec['reason']}" in told.err
    (out / "report.html").unlink()
    assert main(["bench", "report", str(out), "--anchor", "webp"]) == 0
    assert (out / "report.html").stat().st_size > 1e6
    again = ["--codecs", "jpeg-444", "--metrics", "psnr_rgb", "--out", str(out), "--no-report", "--resume"]
    assert main(["bench", str(pictures / "a.png"), *again, *QUIET]) == 0
    assert "kept from earlier runs: jpeg-420, webp" in capsys.readouterr().err

    assert main(["bench", "list"]) == 0
    listed = capsys.readouterr().out
    assert main(["bench", "--list"]) == 0
    assert capsys.readouterr().out == listed
    for word in ("jpeg-420", "avif-444-psnr", "vvc", "calotype", "psnr_rgb", "nlpd"):
        assert word in listed
    assert "; quality: percent of the pack's levels, one for all pictures; not `calotype encode -q`" in listed
    assert "eyes           ssimulacra2, cvvdp, butteraugli" in listed


def test_failures_give_status_1(
    pictures: Path, bad_codecs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--codecs",
        f"{bad_codecs}:raises",
        "--metrics",
        "psnr_rgb",
        "--out",
        str(tmp_path / "out"),
        "--no-report",
    ]
    assert main(["bench", str(pictures), *options, *QUIET]) == 1
    told = capsys.readouterr().err
    assert "codec-error: raises a.png 2" in told
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}", "--codecs", "jpg"], "unknown codec 'jpg'"),
        (["{}", "--codecs", ","], "no codec to run"),
        (["{}", "--metrics", "psnr"], "unknown metric 'psnr'"),
        (["{}", "--metrics", "jpegia"], "unknown metric 'jpegia'"),
        (["{}", "--qualities", "high"], "--qualities high"),
        (["{}", "--codecs", "webp", "--qualities", "wepb=3"], "did you mean webp?"),
        (["{}", "--codecs", "webp", "--qualities", "jxl=3"], "jxl is not run; add it to --codecs"),
        (["{}", "--picture-size", "large"], "--picture-size large: expected a size"),
        (["{}", "--picture-quality", "101"], "--picture-quality 101: expected 1 to 100, or lossless"),
        (["{}", "--picture-bpp", "a"], "--picture-bpp a: expected numbers"),
        (["{}", "--pictures", "a,z.png"], "--pictures z.png: no such picture"),
        (["{}", "--qualities", "webp="], "no number given"),
        (["{}", "--codecs", "webp", "--anchor", "jxl"], "--anchor jxl is not among the codecs"),
        (["/no/such/picture.png"], "no such picture or folder"),
    ],
)
def test_one_line_for_what_is_wrong(
    arguments: list[str], message: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [a.format(pictures) for a in arguments]
    assert main(["bench", *given, "--out", str(tmp_path / "out")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("calotype: ")
    assert message in lines[0]
    assert not (tmp_path / "out" / "results.json").exists()


def test_jpegai_in_one_word(pictures: Path, tmp_path: Path) -> None:
    from calotype.bench.metrics import BASIC, JPEG_AI, METRICS

    if METRICS["vmaf"].missing():
        pytest.skip("VMAF needs ffmpeg")
    out = tmp_path / "out"
    options = ["--codecs", "webp", "--qualities", "30", "--metrics", "basic,jpegai", "--no-report"]
    assert main(["bench", str(pictures / "a.png"), *options, "--out", str(out), *QUIET]) == 0
    found = json.loads((out / "results.json").read_text())
    assert set(found["measurements"][0]["metrics"]) == {*BASIC, *JPEG_AI}


def test_report_of_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "report", str(tmp_path)]) == 1
    assert "has no results.json" in capsys.readouterr().err


def test_wrong_usage_gives_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("calotype bench: the following arguments are required: ")
    assert said.count("\n") == 1
