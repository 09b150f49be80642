"""A synthesis trained on, alone, on latents as files hold them: ``training/planned.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.golden import scene

import calotype
from calotype.codec import library
from calotype.coder import LevelPixels
from calotype.lab.models.calotype import Calotype
from calotype.lab.train.state import State, load_weights
from calotype.lab.train.subject import Subject

TRAINING = Path(__file__).parents[3] / "training"


def shipped() -> Calotype:
    """The model whose weights the repository holds, those of the pack for PSNR."""
    state = State.load(TRAINING / "photo")
    model = Subject.from_dict(state.model).build().model
    assert isinstance(model, Calotype)
    load_weights(model, state.ema, TRAINING / "photo")
    return model.eval()


@pytest.mark.parametrize("name", ["photo-psnr", "photo-eyes"])
@torch.no_grad()
def test_floats_of_a_pack_show_what_its_integers_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    import floats

    from calotype.codec.latents import Networks, quantise, restored

    pack = library.load(name)
    networks = Networks(pack, pack.level(900), 1)
    pixels = np.ascontiguousarray(scene(128, 128, 5))
    words = restored(networks, quantise(networks, pack.encoder.analysis(pixels)[None]))
    exact = pack.decoder.synthesis(LevelPixels(networks.level.vector, None), words)

    model = shipped()
    floats.take(pack, model)
    y_hat = torch.from_numpy(words.astype(np.float32)) * torch.from_numpy(np.array(pack.unit).reshape(-1))
    x_hat = model.synthesis(y_hat.permute(2, 0, 1)[None], model.levels(torch.tensor([900 / 256])).vector)
    shown = (255 * x_hat[0].permute(1, 2, 0)).clamp(0, 255).numpy()
    assert np.abs(shown - exact).mean() < 0.5
    assert np.abs(exact - pixels.astype(float)).mean() > 2, "so nearness says something"


@pytest.mark.slow
def test_a_pack_is_trained_on_and_only_its_pixels_change(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(13):  # one of twelve is held out
        Image.fromarray(scene(352, 352, 50 + k)).save(photos / f"{k}.png")

    def run(*arguments: str | Path) -> str:
        command = [sys.executable, str(TRAINING / "planned.py"), *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run("latents", "photo-eyes", photos, "--each", "2", "--out", tmp_path / "crops.npz")
    told = run("train", "photo-eyes", TRAINING / "photo", tmp_path / "crops.npz", "--own", "--minutes", "0.2",
               "--out", tmp_path / "run")  # fmt: skip
    assert told.count("held out: {'dB': ") == 2
    run("pack", "photo-eyes", tmp_path / "run", tmp_path / "crops.npz", "--most", "0.2",
        "--out", tmp_path / "pack")  # fmt: skip

    record = json.loads((tmp_path / "pack" / "manifest.json").read_text())["training"]["synthesis"]
    assert record["integers lose"]["dB"] < 0.2
    picture = scene(128, 192, 9)
    usual, other = (calotype.encode(picture, 60, pack=pack) for pack in ("photo-eyes", tmp_path / "pack"))
    shown = [
        np.asarray(calotype.decode(data, pack=pack), float)
        for data, pack in ((usual, "photo-eyes"), (other, tmp_path / "pack"))
    ]
    assert calotype.probe(usual)["pack_id"] != calotype.probe(other)["pack_id"]
    assert 0 < np.abs(shown[0] - shown[1]).mean() < 8
