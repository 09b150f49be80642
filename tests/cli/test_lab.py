"""``calotype lab``: packs of runs, the gate, and the looks at the published systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.bench import bdrate
from calotype.cli import gate, main
from calotype.codec.pack import Pack
from calotype.lab import registry
from calotype.lab.checkpoint import read_info, save_checkpoint
from calotype.lab.export import Statistics, export
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_start import start

torch.set_num_threads(1)


def photograph(height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [110 + 50 * np.sin(x / 31 + p) * np.cos(y / 23 - p) for p in rng.uniform(0, 6.28, 3)]
    edges = 40 * ((x // 37 + (y + 0.3 * x) // 53) % 2)
    noisy = [plane + edges + rng.normal(0, 5, plane.shape) for plane in planes]
    return np.clip(np.stack(noisy, axis=2), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for k in range(2):
        Image.fromarray(photograph(96, 144, k)).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three packs of one linear codec: with the right tables, with wrong ones, and with a slow synthesis."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "latents": 48,
        "width": 96,
        "narrow": 8,
        "narrow16": 8,
        "lambdas": (0.001, 0.01, 0.1),
    }

    def sample(seed: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([photograph(128, 128, 10 + seed)] * 2)).permute(0, 3, 1, 2) / 255.0

    folder = tmp_path_factory.mktemp("packs")
    for name, blocks in (("good", 1), ("bad", 1), ("slow", 40)):
        model = Calotype(
            Config.from_dict({**sizes, "synthesis_blocks": (1, blocks), "narrow": 8 if blocks == 1 else 96})
        )
        start(model, sample, batches=4)
        if name == "bad":
            with torch.no_grad():
                model.levels.bias += 12.0  # every sigma four times too large
        elif name == "slow":
            with torch.no_grad():
                model.levels.vector += 1e-6  # another pack, by its hash as well
        export(
            model.eval(),
            Statistics(model),
            folder / name,
            name=name,
            training={"minutes": 1.5, "data": "made"},
        )
    return {path.name: path for path in folder.iterdir()}


def judge(pack: Path, tmp_path: Path, images: Path, slower: float = 50.0, **more: Any) -> dict[str, Any]:
    """The gate; how long decoding takes on a busy machine decides nothing, unless a test says so."""
    history = tmp_path / "docs" / "history.json"
    return gate.promote(pack, tmp_path / "photo", images, history, threads=1, slower=slower, **more)


def test_a_better_pack_takes_the_place_and_a_worse_one_does_not(
    packs: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    """In turn: the first pack, itself again, a better one, and the first once more."""
    target, history = tmp_path / "photo", tmp_path / "docs" / "history.json"
    first = judge(packs["bad"], tmp_path, images)
    assert first["promoted"]
    assert first["entry"]["against"] is None
    assert Pack(target).manifest.name == "bad"

    again = judge(packs["bad"], tmp_path, images)
    assert (again["better"], again["reason"]) == (False, "it is the same pack")

    dry = judge(packs["good"], tmp_path, images, dry_run=True)
    assert dry["better"]
    assert not dry["promoted"]
    assert Pack(target).manifest.name == "bad"

    better = judge(packs["good"], tmp_path, images)
    assert better["promoted"], better["reason"]
    assert Pack(target).manifest.name == "good"
    assert Pack(target).graph("scales")
    worse = judge(packs["bad"], tmp_path, images)
    assert not worse["better"]
    assert "BD-rate is +" in worse["reason"]
    assert Pack(target).manifest.name == "good"

    entries = json.loads(history.read_text())["packs"]
    assert [e["name"] for e in entries] == ["bad", "good"]
    entry = entries[1]
    curves = [bdrate.Curve([p[1] for p in e["curve"]], [p[2] for p in e["curve"]]) for e in entries]
    assert entry["against"]["bd_rate"] == pytest.approx(bdrate.bd_rate(*curves).value, abs=0.01)
    assert entry["against"]["bd_rate"] < -2
    assert entry["training"]["minutes"] == 1.5
    assert entry["measured_on"]["processor"]
    assert len(entry["curve"]) == 8
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_curve_is_that_of_real_files(packs: dict[str, Path], images: Path, tmp_path: Path) -> None:
    import calotype

    entry = judge(packs["good"], tmp_path, images)["entry"]
    rates, errors = [], []
    for path in sorted(images.iterdir()):
        image = Image.open(path)
        data = calotype.encode(image, quality=57, pack=packs["good"], threads=1)
        decoded = np.asarray(calotype.decode(data, pack=packs["good"], threads=1)).astype(float)
        rates.append(8 * len(data) / (image.width * image.height))
        errors.append(10 * np.log10(255**2 / np.square(decoded - np.asarray(image)).mean()))
    point = next(p for p in entry["curve"] if p[0] == 57)
    assert point[1] == pytest.approx(np.mean(rates), abs=1e-4)
    assert point[2] == pytest.approx(np.mean(errors), abs=1e-3)


def test_a_slower_pack_does_not_pass(packs: dict[str, Path], images: Path, tmp_path: Path) -> None:
    """Some hundred times the work in the synthesis: no noise of a busy machine hides that."""
    judge(packs["bad"], tmp_path, images)
    verdict = judge(packs["slow"], tmp_path, images, slower=gate.SLOWER)
    assert not verdict["better"]
    assert "times slower" in verdict["reason"]


def test_a_stored_curve_is_used_and_a_foreign_one_is_not(
    packs: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    judge(packs["bad"], tmp_path, images)
    history = tmp_path / "docs" / "history.json"
    stored = json.loads(history.read_text())
    for point in stored["packs"][0]["curve"]:
        point[1] /= 100  # as if the shipped pack needed a hundredth
    history.write_text(json.dumps(stored))
    assert not judge(packs["good"], tmp_path, images)["better"]
    stored["packs"][0]["images"]["sha256"] = "of other pictures"
    history.write_text(json.dumps(stored))
    assert judge(packs["good"], tmp_path, images)["better"]


def test_a_broken_candidate_is_an_error_and_a_broken_target_loses(
    packs: dict[str, Path], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--kodak",
        str(images),
        "--target",
        str(tmp_path / "photo"),
        "--history",
        str(tmp_path / "h.json"),
    ]
    assert main(["lab", "promote", str(tmp_path / "nothing"), *words]) == 1
    assert "manifest.json" in capsys.readouterr().err
    (tmp_path / "photo").mkdir()
    (tmp_path / "photo" / "manifest.json").write_text("{}")
    assert main(["lab", "promote", str(packs["good"]), "--threads", "1", *words]) == 0
    assert "promoted: there was no pack" in capsys.readouterr().out
    assert Pack(tmp_path / "photo").manifest.name == "good"


def test_export_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "export", str(tmp_path), "--out", str(tmp_path / "pack")]) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert main(["lab", "export", str(tmp_path), "--out", str(tmp_path / "pack"), "--note", "x"]) == 1
    assert "KEY=VALUE" in capsys.readouterr().err


def test_from_photographs_to_a_picture(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train, export, promote, encode, decode: the commands as people type them."""
    run, pack = tmp_path / "run", tmp_path / "pack"
    sets = ["latents=48", "width=48", "narrow=8", "narrow16=8", "lambdas=[0.001,0.1]"]
    words = [w for size in sets for w in ("--set", f"model.{size}")]
    for field in ("steps=1", "batch=2", "crop=64", "held_out=1", "start_batches=1"):
        words += ["--set", field]
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["lab", "train", "--data", str(images), "--out", str(run), *cache, *words]) == 0
    export = ["lab", "export", str(run), "--out", str(pack), "--batches", "2", "--name", "small"]
    assert main([*export, "--data", str(images), "--note", "sources=made for a test"]) == 0
    assert "1 steps" in capsys.readouterr().out
    training = json.loads((pack / "manifest.json").read_text())["training"]
    assert training["sources"] == "made for a test"
    assert "commit" in training
    calo = tmp_path / "0.calo"
    assert main(["encode", str(images / "0.png"), "-o", str(calo), "--pack", str(pack), "-q", "80"]) == 0
    assert main(["decode", str(calo), "-o", str(tmp_path / "out.png"), "--pack", str(pack)]) == 0
    assert Image.open(tmp_path / "out.png").size == (144, 96)


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
