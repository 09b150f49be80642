"""calotype encode --model, and decode of laboratory files: found by id, exact in another process, clear when
it cannot be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype import FormatError, bitstream
from calotype import decode as decode_file
from calotype.lab import registry, use
from calotype.lab.checkpoint import read_info, save_checkpoint

torch.set_num_threads(1)
Run = Callable[..., Any]
Process = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints in folders of runs, with weights far from their start, for something to code."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("minnen2018-mean-scale", "balle2017")):
        torch.manual_seed(seed)
        model = registry.build(name, **registry.entry(name).thin)
        with torch.no_grad():
            for p in model.parameters():
                p += 0.05 * torch.randn_like(p)
        save_checkpoint(folder / name / "model.safetensors", model.eval())
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALOTYPE_MODELS", raising=False)


@pytest.fixture
def checkpoint(models: Path) -> Path:
    return models / "minnen2018-mean-scale" / "model.safetensors"


@pytest.fixture
def lab_file(photo: Path, checkpoint: Path, run: Run) -> Path:
    done = run("encode", "--model", checkpoint, photo)
    assert done.status == 0, done.err
    assert f"model {checkpoint}" in done.out
    return photo.with_suffix(".calo")


@pytest.mark.slow
def test_decoded_in_a_fresh_process(photo: Path, lab_file: Path, models: Path, process: Process) -> None:
    done = process("decode", lab_file, "out.png", "--models", models)
    assert done.returncode == 0, done.stderr
    expected = use.decode(lab_file.read_bytes(), [models])
    assert np.array_equal(np.asarray(Image.open("out.png")), expected)
    assert lab_file.read_bytes() == use.encode(
        np.asarray(Image.open(photo)), models / "minnen2018-mean-scale"
    )
    assert np.ptp(expected) > 0


def test_where_checkpoints_are_looked_for(
    lab_file: Path, models: Path, checkpoint: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (models, checkpoint.parent, checkpoint):
        assert (
            run("decode", lab_file, "-f", "-o", "a.png", "--models", models / "balle2017", place).status == 0
        )
    monkeypatch.setenv("CALOTYPE_MODELS", os.pathsep.join(["nowhere", str(models)]))
    assert run("decode", lab_file, "b.png").status == 0
    monkeypatch.delenv("CALOTYPE_MODELS")
    (Path.cwd() / "any name.safetensors").write_bytes(checkpoint.read_bytes())
    assert run("decode", lab_file, "c.png").status == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() == Path("c.png").read_bytes()
    expected = use.decode(lab_file.read_bytes(), [models])
    assert np.array_equal(np.asarray(Image.open("a.png")), expected)


def test_a_missing_model_is_named(lab_file: Path, checkpoint: Path, models: Path, run: Run) -> None:
    key = read_info(checkpoint).id.hex()
    said = run("decode", lab_file, "a.png").complaint
    assert f"laboratory model {key}" in said
    assert "--models FOLDER" in said
    assert "CALOTYPE_MODELS (not set)" in said
    assert (
        str(models / "balle2017")
        in run("decode", lab_file, "a.png", "--models", models / "balle2017").complaint
    )
    assert "no such folder" in run("decode", lab_file, "a.png", "--models", "nowhere").complaint
    assert not Path("a.png").exists()


def test_options_without_a_meaning(photo: Path, checkpoint: Path, lab_file: Path, run: Run) -> None:
    for option in (("-q", 40), ("--target-size", "9k"), ("--target-psnr", 30), ("--effort", 1)):
        done = run("encode", photo, "x.calo", "--model", checkpoint, *option)
        assert done.status == 2
        assert "has no meaning with --model" in done.err
    for option in (("--pack", "photo-psnr"), ("--tune", "psnr")):
        done = run("encode", photo, "x.calo", "--model", checkpoint, *option)
        assert done.status == 2
        assert "not allowed with" in done.err
    done = run("decode", "--models", checkpoint, lab_file, "out/")
    assert done.status == 2


def test_bad_checkpoints(photo: Path, models: Path, run: Run) -> None:
    for path, reason in (
        (models, "folder without model.safetensors"),
        (models / "balle2018", "no such checkpoint"),
        (photo, "not a safetensors file"),
    ):
        assert reason in run("encode", photo, "x.calo", "--model", path).complaint
        assert not Path("x.calo").exists()


def test_without_torch(photo: Path, lab_file: Path, checkpoint: Path) -> None:
    code = (
        "import sys, importlib.util; real = importlib.util.find_spec;"
        "importlib.util.find_spec = lambda name, *a: None if name == 'torch' else real(name, *a);"
        "from calotype.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    for words in (("decode", lab_file, "a.png"), ("encode", photo, "x.calo", "--model", checkpoint)):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "pip install 'calotype[lab]'" in done.stderr


def test_what_else_a_picture_has_stays(run: Run, checkpoint: Path, models: Path) -> None:
    """Alpha exactly; EXIF byte for byte; grey stays grey; regions are cut."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (40, 50, 4), np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "a test"
    image.save("rgba.png", exif=exif)
    image.convert("L").save("grey.png")
    for name, mode in (("rgba", "RGBA"), ("grey", "L")):
        assert run("encode", f"{name}.png", "--model", checkpoint).status == 0
        assert run("decode", f"{name}.calo", f"{name}2.png", "--models", models).status == 0
        assert Image.open(f"{name}2.png").mode == mode
    whole = Image.open("rgba2.png")
    assert np.array_equal(np.asarray(whole)[..., 3], np.asarray(image)[..., 3])
    assert whole.getexif()[0x010E] == "a test"
    assert run("decode", "rgba.calo", "part.png", "--models", models, "--region", "3,5,20,10").status == 0
    assert np.array_equal(np.asarray(Image.open("part.png")), np.asarray(whole)[5:15, 3:23])
    assert (
        "not inside"
        in run("decode", "rgba.calo", "p.png", "--models", models, "--region", "45,5,20,9").complaint
    )


def test_the_limit_on_metadata_can_be_raised(lab_file: Path, models: Path, run: Run) -> None:
    file = bitstream.parse(lab_file.read_bytes())
    more = bitstream.Limits(max_metadata=2**25)
    lab_file.write_bytes(bitstream.write(file.header, file.tiles, xmp=bytes(2**24 + 1), limits=more))
    words = ("decode", lab_file, "a.bmp", "--models", models)
    assert "max_metadata" in run(*words).complaint
    assert run(*words, "--max-metadata", "17MiB").status == 0


def test_probe_and_python_say_what_it_is(lab_file: Path, checkpoint: Path, run: Run) -> None:
    key = read_info(checkpoint).id.hex()
    assert run("probe", lab_file).out.startswith(f"written by laboratory model {key}")
    assert json.loads(run("probe", lab_file, "--json").out)["lab"] is True
    with pytest.raises(FormatError, match=f"laboratory model {key}"):
        decode_file(lab_file.read_bytes())


def test_damage(lab_file: Path, models: Path, run: Run) -> None:
    data = bytearray(lab_file.read_bytes())
    data[-9] ^= 1
    lab_file.write_bytes(data)
    assert "checksum" in run("decode", lab_file, "a.png", "--models", models).complaint
