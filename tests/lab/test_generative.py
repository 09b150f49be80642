"""HiFiC and Agustsson 2019: who learns from which loss, stages, rate targeting, what training leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calotype.lab import registry
from calotype.lab.adversarial import adversarial, feature_stand_in, frozen, sharpness
from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.codec import ModelCodec
from calotype.lab.layers.generative import ChannelNorm, PatchDiscriminator
from calotype.lab.models.agustsson2019 import GenerativeCompression
from calotype.lab.models.mentzer2020 import HiFiC
from calotype.lab.objective import RateDistortion
from calotype.lab.train.command import main

from .conftest import picture, thin


def hific() -> HiFiC:
    model = thin("mentzer2020-hific")
    assert isinstance(model, HiFiC)
    return model.train()


@pytest.mark.parametrize("kind", ["non-saturating", "least-squares"])
def test_each_side_is_blind_to_the_loss_of_the_other(kind: str) -> None:
    torch.manual_seed(0)
    critic = PatchDiscriminator(4, 5)
    x, y_hat = torch.rand(1, 3, 48, 48), torch.randn(1, 5, 3, 3, requires_grad=True)
    x_hat = torch.rand(1, 3, 48, 48, requires_grad=True)
    deceived, own = adversarial(critic, x, x_hat, y_hat, kind)
    weights = list(critic.parameters())
    assert all(
        g is None for g in torch.autograd.grad(deceived, weights, retain_graph=True, allow_unused=True)
    )
    assert float(torch.autograd.grad(deceived, x_hat)[0].abs().max()) > 0
    found = torch.autograd.grad(own, [x_hat, y_hat, *weights], allow_unused=True)
    assert found[:2] == (None, None)
    assert all(g is not None for g in found[2:])
    assert all(p.requires_grad for p in weights)


def test_adversarial_losses_by_hand() -> None:
    """A critic that answers with the mean of the picture, at logits 2 (real) and -1 (decoded)."""

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean()

    real, fake = torch.full((1, 3, 2, 2), 2.0), torch.full((1, 3, 2, 2), -1.0)
    deceived, own = adversarial(Mean(), real, fake, None, "non-saturating")
    assert float(deceived) == pytest.approx(1.3132617)  # log(1 + e)
    assert float(own) == pytest.approx(0.1269280 + 0.3132617)
    deceived, own = adversarial(Mean(), real, fake, None, "least-squares")
    assert (float(deceived), float(own)) == (4.0, 2.0)


def test_channel_norm_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    norm = ChannelNorm(3, eps=0.0)
    with torch.no_grad():
        norm.beta += 1.0
    expected = (x - 3) / 7**0.5 + 1  # unbiased variance (4 + 1 + 9) / 2
    torch.testing.assert_close(norm(x), expected)


def test_the_discriminator_looks_at_the_latents() -> None:
    torch.manual_seed(0)
    critic = PatchDiscriminator(4, 5).eval()
    x, y_hat = torch.rand(1, 3, 64, 64), torch.randn(1, 5, 4, 4)
    assert critic(x, y_hat).shape == (1, 1, 8, 8)
    assert float((critic(x, y_hat) - critic(x, 0 * y_hat)).detach().abs().max()) > 1e-6


def test_the_stand_in_for_lpips() -> None:
    """Nothing between equal pictures, more for a blur than for a little light; no gradient to the encoder."""
    model, x = hific(), picture(64, 64)[None] / 255
    blurred = torch.nn.functional.avg_pool2d(x, 5, 1, 2).requires_grad_()
    distance = feature_stand_in(model.g_a, x, blurred)
    assert float(feature_stand_in(model.g_a, x, x)) == pytest.approx(0, abs=1e-6)
    assert float(distance.detach()) > 10 * float(feature_stand_in(model.g_a, x, x + 1e-3))
    distance.backward()
    assert blurred.grad is not None
    assert all(p.grad is None for p in model.g_a.parameters())
    large = picture(176, 176)[None] / 255
    part = feature_stand_in(model.g_a, large[:, :, :64, :64], large[:, :, :64, :64])
    assert float(feature_stand_in(model.g_a, large, large.flip(3))) > float(part) + 0.1  # MS-SSIM counts too


def test_frozen_is_over_when_it_is_over() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)

    def fail() -> None:
        with frozen(layer):
            assert not layer.weight.requires_grad
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_rate_targeting_by_hand() -> None:
    """1 / lambda is 640 above the target and 5 below; early on half of it, at 10 / 7 of the target."""
    model = hific()
    model.target = 0.14
    assert [float(model.rate_weight(torch.tensor(r))) for r in (0.13, 0.15)] == pytest.approx([5, 640])
    model.progress(0.01)
    assert [float(model.rate_weight(torch.tensor(r))) for r in (0.19, 0.21)] == pytest.approx([2.5, 320])
    stages = []
    for done in (0.0, 0.02, 0.03, 0.49, 0.5, 0.52, 0.53, 1.0):
        model.progress(done)
        stages.append((model.deceive, model.early))
    assert stages == [
        (False, True), (False, True), (False, False), (False, False),
        (True, True), (True, True), (True, False), (True, False),
    ]  # fmt: skip


def test_only_the_second_stage_has_a_discriminator() -> None:
    """From half of training on the critic learns, and the decoder's gradient has a part that it gave."""
    x = picture(64, 64)[None]
    found = []
    for done in (0.2, 0.7):
        model = hific()
        model.progress(done)
        objective = RateDistortion(model, 1.0)
        loss, _ = objective.training_loss(x, torch.Generator().manual_seed(0), hard=False)
        loss.backward()
        assert model.discriminator is not None
        assert all((p.grad is not None) == (done > 0.5) for p in model.discriminator.parameters())
        found.append(model.g_s.tail[-1].weight.grad.clone())
    assert float((found[0] - found[1]).abs().max()) > 1e-6


def test_the_rate_falls_to_the_target_whatever_lambda() -> None:
    sizes = {**registry.entry("mentzer2020-hific").thin, "adversarial": False, "m": 24}
    torch.manual_seed(0)
    model, x = registry.build("mentzer2020-hific", **sizes, target=0.05).train(), picture(64, 64)[None]
    optimizer, rates = torch.optim.Adam(model.parameters(), 5e-3), []
    for step in range(12):
        both = [
            RateDistortion(model, lam).training_loss(x, torch.Generator().manual_seed(step), False)
            for lam in (1e-3, 1e3)[: 2 if step == 0 else 1]
        ]
        assert float(both[0][0].detach()) == float(both[-1][0].detach())
        optimizer.zero_grad()
        both[0][0].backward()
        optimizer.step()
        rates.append(float(both[0][1]["bpp"]))
    assert rates[0] > 0.1
    assert rates[-1] < 0.7 * rates[0]


def test_training_leaves_a_codec_without_discriminator(tmp_path: Path) -> None:
    """The command trains through both stages."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(3):
        Image.fromarray(picture(80, 90, seed).permute(1, 2, 0).numpy()).save(photos / f"{seed}.png")
    sizes = ["model.width=4", "model.m=8", "model.n=8", "model.blocks=1", "model.critic=8"]
    settings = ["steps=4", "batch=2", "crop=64", "held_out=1", "warmup=0", "lr=1e-3", *sizes]

    def train(run: str, *more: str) -> int:
        words = ["mentzer2020-hific", "--data", str(photos), "--cache", str(tmp_path / "cache"), "--quiet"]
        words += ["--out", str(tmp_path / run), "--lambda", "1", *more]
        return main([*words, *(w for s in settings for w in ("--set", s))])

    assert train("whole") == 0
    model = load_checkpoint(tmp_path / "whole" / "model.safetensors", expect="mentzer2020-hific")
    assert model.config["adversarial"] is False
    assert not any(name.startswith("discriminator") for name, _ in model.named_parameters())
    image = picture(70, 100).permute(1, 2, 0).numpy()
    codec = ModelCodec(model)
    assert codec.decode(codec.encode(image)).shape == image.shape
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert all(torch.isfinite(torch.tensor(entry["loss"])) for entry in log if "loss" in entry)


def test_five_centres_bound_the_rate() -> None:
    torch.manual_seed(0)
    model = registry.build("agustsson2019", **registry.entry("agustsson2019").thin).eval()
    assert isinstance(model, GenerativeCompression)
    assert model.quantizer.centres.tolist() == [-2, -1, 0, 1, 2]
    assert not model.quantizer.centres.requires_grad
    assert model.bound == pytest.approx(4 * 2.321928 / 256)
    with torch.no_grad():
        model.logits.zero_()  # every centre as likely as another
        out = model(picture(64, 64)[None] / 255)
    assert float(out.bpp) == pytest.approx(model.bound)
    assert set(out.y_hat.unique().tolist()) <= {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert model.finished().discriminators is None
    assert torch.equal(model.finished()(picture(64, 64)[None] / 255).x_hat, out.x_hat)


def test_sharpness() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[..., ::2] = 1.0  # every step across is 1, none down
    assert float(sharpness(x)) == 0.5
    texture = picture(64, 64)[None] / 255
    blurred = torch.nn.functional.avg_pool2d(texture, 5, 1, 2)
    assert float(sharpness(blurred)) < 0.8 * float(sharpness(texture))
