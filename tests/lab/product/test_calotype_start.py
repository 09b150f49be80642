"""The closed-form start: a linear codec with prediction and adaptive entropy coding."""

from __future__ import annotations

import copy

import pytest
import torch

from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_objective import AllQualities
from calotype.lab.models.calotype_start import start
from calotype.lab.models.calotype_transforms import folded
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.train.data import Photos

SIZES = {"latents": 192, "width": 96, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8}


@pytest.fixture(scope="module")
def started(photos: Photos) -> tuple[Calotype, Calotype]:
    """A model as it is built and one that was started; copy what a test changes."""
    torch.manual_seed(0)
    random, linear = (Calotype(Config.from_dict(SIZES)) for _ in range(2))

    def sample(seed: int) -> torch.Tensor:
        return photos.crops(list(range(len(photos.names))), (7, seed), 8, 128) / 255.0

    start(linear, sample, batches=6)
    return random.eval(), linear.eval()


@pytest.mark.slow
def test_the_start_is_far_ahead_of_random_weights_at_every_level(
    photos: Photos, started: tuple[Calotype, Calotype]
) -> None:
    x = photos.centres([0, 2, 4, 5], 128)
    random, linear = (AllQualities(model).validate(x) for model in started)
    for level, (a, b) in enumerate(zip(linear["loss"], random["loss"], strict=True)):
        assert a < 0.5 * b, level
    assert all(a < b for a, b in zip(linear["bpp"], linear["bpp"][1:]))
    assert all(a < b for a, b in zip(linear["psnr"], linear["psnr"][1:]))
    assert linear["psnr"][-1] > 30


def test_without_quantisation_the_start_is_a_transform_and_its_inverse(
    photos: Photos, started: tuple[Calotype, Calotype]
) -> None:
    model = started[1]
    x = photos.centres([0, 5], 128) / 255.0
    with torch.no_grad():
        y = model.analysis(x)
        x_hat = model.synthesis(y, torch.zeros(1, SIZES["latents"], 1, 1))
    # 192 of 768 coefficients: what is lost is little more than the noise of the pictures.
    assert float((x_hat - x).square().mean().sqrt()) * 255 < 6


def test_the_means_predict_and_the_scales_fit(photos: Photos, started: tuple[Calotype, Calotype]) -> None:
    model = started[1]
    x, level = photos.centres([0, 2, 5], 128) / 255.0, torch.full((3,), 4.0)
    with torch.no_grad():
        out = model(x, level, hard=True).latents
        gained = model.analysis(x) * model.levels(level).gains(8, 8)
        sigma = 0.11 * torch.exp(out.index * torch.log(torch.tensor(256 / 0.11)) / 63)
    for i, j in ((1, 1), (0, 1), (1, 0)):  # the finest octave of the low channels
        predicted = out.residual[:, :LOW, i::2, j::2].square().mean()
        assert predicted < 0.8 * gained[:, :LOW, i::2, j::2].square().mean()
    # Residuals over their sigma have a spread of about 1 where there is something to code; tails are heavy.
    ratio = (out.residual / sigma)[out.index > 20].square().mean().sqrt()
    assert 0.5 < float(ratio) < 3


@pytest.mark.parametrize("latents", [20, 48])
def test_small_models_start_too(latents: int, photos: Photos) -> None:
    torch.manual_seed(0)
    sizes = {
        "latents": latents,
        "width": 24,
        "narrow": 8,
        "narrow16": 8,
        "wide16": 8,
        "render": 8,
        "lambdas": (0.01, 0.1),
    }
    model = Calotype(Config.from_dict(sizes))
    start(model, lambda seed: photos.crops([0, 2, 4, 5], (seed,), 4, 128) / 255.0, batches=2)
    assert AllQualities(model.eval()).validate(photos.centres([0, 2], 128))["psnr"][1] > 20


def test_branches_live_and_act_in_units_of_their_streams(
    photos: Photos, started: tuple[Calotype, Calotype]
) -> None:
    """In training without units the hidden layers fell silent: nothing was left but the linear path."""
    model = copy.deepcopy(started[1])
    x, alive = photos.centres([0, 2, 5], 128) / 255.0, []
    for part in (model.analysis, model.synthesis):
        for block in (*part.blocks8, *part.blocks16):
            assert not torch.equal(block.given, torch.ones_like(block.given))
            assert float((block.added * block.given).max()) <= 4  # a few steps of the middle qualities
            block.conv.register_forward_hook(lambda layer, args, out: alive.append((out > 0).float().mean()))
    render = model.synthesis.render
    assert not torch.equal(render.given, torch.ones_like(render.given))
    assert bool((render.added == render.UNIT).all())
    for conv in render.convs:
        conv.register_forward_hook(lambda layer, args, out: alive.append((out > 0).float().mean()))
    with torch.no_grad():
        model(x, torch.full((3,), 4.0))
    assert len(alive) == 14
    assert all(0.2 < float(share) < 0.8 for share in alive)


def test_folding_the_units_keeps_the_function(photos: Photos, started: tuple[Calotype, Calotype]) -> None:
    model = copy.deepcopy(started[1])
    torch.manual_seed(1)
    for block in (*model.analysis.blocks8, *model.analysis.blocks16):
        torch.nn.init.normal_(block.expand.weight, std=0.1)
        torch.nn.init.normal_(block.expand.bias, std=0.1)
    x = photos.centres([0, 2], 128) / 255.0
    plain = folded(model.analysis)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), model.analysis(x), atol=1e-4, rtol=1e-4)
    assert all(bool((block.given == 1).all() and (block.added == 1).all()) for block in plain.blocks8)
    assert not bool((model.analysis.blocks8[0].given == 1).all())  # a copy
