"""``calotype lab``: packs of runs, and the looks at the published systems. The gate: test_gate.py."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from calotype.cli import main
from calotype.lab import registry
from calotype.lab.checkpoint import read_info, save_checkpoint
from calotype.lab.export import ExportError
from calotype.lab.train.rollback import Diverged

torch.set_num_threads(1)


def test_export_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "export", str(tmp_path), "--out", str(tmp_path / "pack")]) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert main(["lab", "export", str(tmp_path), "--out", str(tmp_path / "pack"), "--note", "x"]) == 1
    assert "KEY=VALUE" in capsys.readouterr().err


def test_from_photographs_to_a_picture(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train, export, encode, decode: the commands as people type them."""
    monkeypatch.setattr("calotype.lab.export.CROP", 128)
    monkeypatch.setattr("calotype.lab.export.RANGE_CROPS", 8)
    run, pack = tmp_path / "run", tmp_path / "pack"
    sets = ["latents=48", "width=48", "narrow=8", "narrow16=8", "wide16=8", "render=8", "lambdas=[0.001,0.1]"]
    sets += ["analysis_blocks=[1,1]", "synthesis_blocks=[1,1]"]
    words = [w for size in sets for w in ("--set", f"model.{size}")]
    for field in ("steps=1", "batch=2", "crop=64", "held_out=1", "start_batches=1"):
        words += ["--set", field]
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["lab", "train", "--data", str(images), "--out", str(run), *cache, *words]) == 0
    export = [
        "lab",
        "export",
        str(run),
        "--out",
        str(pack),
        "--batches",
        "2",
        "--name",
        "small",
        "--loss",
        "5",
    ]
    assert main([*export, "--data", str(images), "--note", "sources=made for a test"]) == 0
    assert "1 steps" in capsys.readouterr().out
    training = json.loads((pack / "manifest.json").read_text())["training"]
    assert training["sources"] == "made for a test"
    assert "commit" in training
    calo = tmp_path / "0.calo"
    assert main(["encode", str(images / "0.png"), "-o", str(calo), "--pack", str(pack), "-q", "80"]) == 0
    assert main(["decode", str(calo), "-o", str(tmp_path / "out.png"), "--pack", str(pack)]) == 0
    assert Image.open(tmp_path / "out.png").size == (144, 96)


def test_what_integers_may_lose_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = {}

    def made(run: Path, out: Path, **options: Any) -> tuple[str, dict[str, Any]]:
        given.update(options)
        return "0123456789", {"steps": 7, "integer_loss": {"percent": 0.234, "pictures": 8}}

    monkeypatch.setattr("calotype.lab.export.export_run", made)
    export = ["lab", "export", str(tmp_path), "--out", str(tmp_path)]
    assert main(export) == 0
    assert (given["check"], given["most"]) == (None, 0.5)
    assert "0.23 % of rate" in capsys.readouterr().out
    assert main([*export, "--check", "photos", "--loss", "inf"]) == 0
    assert (given["check"], given["most"]) == ([Path("photos")], math.inf)
    assert main([*export, "--loss", "-1"]) == 2


@pytest.mark.parametrize("error", [ExportError, Diverged])
def test_errors_of_the_laboratory_are_one_line(
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error("it must not become a pack")

    monkeypatch.setattr("calotype.lab.export.export_run", fail)
    assert main(["lab", "export", str(tmp_path), "--out", str(tmp_path / "pack")]) == 1
    assert capsys.readouterr().err == "calotype: it must not become a pack\n"


def test_list_and_describe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == registry.names()
    assert main(["lab", "describe", "balle2018-hyperprior", "--set", "n=8", "--set", "m=12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"] == {"n": 8, "m": 12}
    assert main(["lab", "describe", "balle2018-hyperprior"]) == 0
    told = capsys.readouterr().out
    assert "5,075,843" in told
    assert "arXiv 1802.01436" in told
    assert "for high rates   n=192, m=320\n" in told
    assert main(["lab", "complexity", "balle2018-factorized"]) == 0
    assert "42.18" in capsys.readouterr().out
    assert main(["lab", "describe", "balle2018-hyperprio"]) == 1
    assert "did you mean 'balle2018-hyperprior'" in capsys.readouterr().err


def test_eval_measures_real_files(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "model.safetensors", registry.build("balle2018-factorized", n=8, m=12))
    assert main(["lab", "eval", str(tmp_path / "model.safetensors"), str(images), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["image"] for r in records] == ["0.png", "1.png", "mean"]
    assert records[2]["bpp"] == pytest.approx((records[0]["bpp"] + records[1]["bpp"]) / 2)
    assert records[0]["psnr"] > 0
    assert records[0]["ms_ssim"] is None  # 96 pixels are too few for five scales
    assert main(["lab", "eval", str(tmp_path / "model.safetensors"), str(images)]) == 0
    assert "estimated_bpp" in capsys.readouterr().out
    assert main(["lab", "eval", str(tmp_path / "none.safetensors"), str(images)]) == 1
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.png").write_bytes((images / "0.png").read_bytes())
    (mixed / "b.png").write_bytes((images / "1.png").read_bytes()[:900])
    (mixed / "c.jpg").write_bytes(b"no picture")
    capsys.readouterr()
    assert main(["lab", "eval", str(tmp_path / "model.safetensors"), str(mixed), "--json"]) == 0
    printed = capsys.readouterr()
    assert [json.loads(line)["image"] for line in printed.out.splitlines()] == ["a.png", "mean"]
    assert "skipped 2 files" in printed.err
    assert "b.png: " in printed.err
    assert "c.jpg: " in printed.err
    assert main(["lab", "eval", str(tmp_path / "model.safetensors"), str(mixed / "c.jpg")]) == 1
    assert "c.jpg: cannot be read" in capsys.readouterr().err


def test_convert_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our weights under CompressAI's names, both kinds of file, come back as the same checkpoint."""
    torch.manual_seed(0)
    model = registry.build("minnen2018-mean-scale", n=8, m=12)
    save_checkpoint(tmp_path / "ours.safetensors", model)
    for theirs in ("theirs.pth", "theirs.safetensors"):
        words = ["lab", "convert", str(tmp_path / "ours.safetensors"), "-o", str(tmp_path / theirs), "--back"]
        assert main(words) == 0
        assert "mbt2018-mean" in capsys.readouterr().out
        again = tmp_path / (theirs + ".ours.safetensors")
        assert (
            main(["lab", "convert", str(tmp_path / theirs), "-o", str(again), "--model", "mbt2018-mean"]) == 0
        )
        assert read_info(again).id == read_info(tmp_path / "ours.safetensors").id
    save_checkpoint(tmp_path / "charm.safetensors", registry.build("minnen2020-charm", n=8, m=20))
    capsys.readouterr()
    assert (
        main(["lab", "convert", str(tmp_path / "charm.safetensors"), "-o", str(tmp_path / "x"), "--back"])
        == 1
    )
    assert "CompressAI has no 'minnen2020-charm'" in capsys.readouterr().err
    assert main(["lab", "convert", str(tmp_path / "theirs.pth"), "-o", str(tmp_path / "x")]) == 2


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab"]) == 2
    assert main(["lab", "--help"]) == 0
    assert "promote" in capsys.readouterr().out
    assert main(["lab", "trian"]) == 2
    assert "'trian'" in capsys.readouterr().err
