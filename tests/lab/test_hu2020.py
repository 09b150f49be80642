"""Hu 2020: the four stages of training, and pictures in partitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.codec import ModelCodec
from calotype.lab.entropy.partition import boxes, smooth
from calotype.lab.models.hu2020 import CoarseToFine
from calotype.lab.models.hu2020_stages import stage_at
from calotype.lab.objective import RateDistortion
from calotype.lab.train.command import main

from .conftest import picture

SMALL = {"n": 12, "z2": 16}


def staged() -> CoarseToFine:
    torch.manual_seed(0)
    model = registry.build("hu2020-low", **SMALL, staged=True)
    assert isinstance(model, CoarseToFine)
    return model.train()


def test_when_the_stages_begin() -> None:
    assert [stage_at(epoch / 5500) for epoch in (0, 999, 1000, 1199, 1200, 1299, 1300, 5500)] == [
        1, 1, 2, 2, 3, 3, 4, 4,
    ]  # fmt: skip


def test_what_each_stage_trains() -> None:
    """Levels, pixels and further losses: the parts that get a gradient are those of the table."""
    x = picture(64, 64)[None]
    for stage, done in enumerate((0.0, 0.19, 0.22, 0.5), 1):
        model = staged()
        model.progress(done)
        assert model.stage == stage
        loss, _ = RateDistortion(model, 0.01).training_loss(x, torch.Generator().manual_seed(0), hard=False)
        loss.backward()
        found = {
            name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
        }
        heads = {name for name, p in model.heads.named_parameters() if p.grad is not None and p.grad.any()}
        assert ("predict2" in found) == ("h_s1" in found) == ("sigma1" in found) == (stage > 1)
        assert ("aggregate" in found) == (stage > 2)
        assert ("sigma2" in heads) == (stage == 1)
        assert any(name.startswith("pixels") for name in heads) == (stage < 3)
        assert any(name.startswith("from_h2") for name in heads) == (stage < 4)
        assert any(name.startswith("from_h1") for name in heads) == (stage in (2, 3))
        assert {"g_a", "g_s", "h_a2", "h_s2", "predict3"} <= found


def test_further_losses_do_not_pull_at_their_targets() -> None:
    model = staged()
    h2, y_hat = (torch.randn(1, 12, 4, 4, requires_grad=True) for _ in range(2))
    z2_hat, h1 = (torch.randn(1, 16, 2, 2, requires_grad=True) for _ in range(2))
    model.heads.loss(y_hat, h2, z2_hat, h1).backward()
    assert y_hat.grad is None
    assert z2_hat.grad is None
    assert h2.grad is not None
    assert h1.grad is not None


@pytest.mark.slow
def test_the_recipe_trains_through_all_stages(tmp_path: Path) -> None:
    """A few steps of the named recipe leave a plain model that codes files; the run can be resumed."""
    photos, run = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    for seed in range(3):
        Image.fromarray(picture(80, 90, seed).permute(1, 2, 0).numpy()).save(photos / f"{seed}.png")
    small = [
        "model.n=12",
        "model.z2=16",
        "steps=11",
        "batch=2",
        "crop=64",
        "held_out=1",
        "lr=1e-3",
        "save_every=5",
    ]
    words = [
        "hu2020-low",
        "--data",
        str(photos),
        "--cache",
        str(tmp_path / "cache"),
        "--out",
        str(run),
        "--quiet",
    ]
    words += ["--recipe", "hu2020", "--lambda", "all", *(w for s in small for w in ("--set", s))]
    assert main(words) == 0
    model = load_checkpoint(run / "model.safetensors", expect="hu2020-low")
    assert model.config == {"n": 12, "z2": 16, "wide": 1, "partition": 768}
    assert not any(name.startswith("heads") for name, _ in model.named_parameters())
    image = picture(70, 100).permute(1, 2, 0).numpy()
    codec = ModelCodec(model)
    assert codec.decode(codec.encode(image)).shape == image.shape
    assert main([*words, "--resume", "--set", "steps=12"]) == 0


@pytest.mark.parametrize("blur", [False, True])
def test_partitions_are_pictures_of_their_own(blur: bool) -> None:
    torch.manual_seed(0)
    whole = registry.build("hu2020-low", **SMALL).eval()
    parted = registry.build("hu2020-low", **SMALL, partition=64, smooth=blur).eval()
    parted.load_state_dict(whole.state_dict())
    image = picture(100, 190)
    with torch.no_grad():
        out = parted(image[None] / 255)
        padded = parted.pad(image[None] / 255)
        alone = [whole(padded[:, :, a:c, b:d]) for a, b, c, d in boxes(128, 192, 64)]
        bits = sum(float(v) for o in alone for v in o.bits.values())
        assert sum(float(v) for v in out.bits.values()) == pytest.approx(bits, rel=1e-4)
        same = (out.x_hat[0, :, 10:50, 70:120] - alone[1].x_hat[0, :, 10:50, 6:56]).abs().max()
        assert float(same) < 1e-5
        seam = (out.x_hat[0, :, :62, 62:64] - alone[0].x_hat[0, :, :62, 62:64]).abs().max()
        assert (float(seam) > 1e-5) == blur
    codec, pixels = ModelCodec(parted), image.permute(1, 2, 0).numpy()
    decoded = codec.decode(codec.encode(pixels))
    shown = (out.x_hat[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(decoded.astype(int) - shown).max() <= 1


def test_smoothing() -> None:
    x = torch.zeros(1, 1, 1, 12)
    x[..., 6:] = 10
    assert smooth(x, 6)[0, 0, 0].tolist() == [0, 0, 0, 0, 2, 4, 6, 8, 10, 10, 10, 10]
    assert torch.equal(smooth(x, 0), x)
    assert torch.equal(smooth(x, 12), x)


def test_partitions_are_of_whole_latents() -> None:
    with pytest.raises(registry.UnknownModel, match="multiple of 64"):
        registry.build("hu2020-low", partition=100)
