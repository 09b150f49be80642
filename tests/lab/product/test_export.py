"""From a model to a pack to a file: what torch says is what the codec does, or there is no pack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from calotype.bitstream import parse
from calotype.codec import latents, levels
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.lab.export import ExportError, Statistics, export, export_run
from calotype.lab.layers.integer import IntConv, round_through
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import Z_UNIT, Bottleneck, folded, split_phases
from calotype.lab.models.calotype_start import start
from calotype.lab.pack import exact
from calotype.lab.pack.graphs import HALF_SIZE, graphs
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.subject import Subject

Thin = Callable[..., Calotype]
SIDE = 256


@pytest.fixture(scope="module")
def model(photos: Photos) -> Calotype:
    """A started model with branches that are not zero, and large weights that float16 holds exactly."""
    from calotype.lab.models.calotype import Config

    torch.manual_seed(3)
    sizes = {"latents": 96, "width": 96, "narrow": 8, "narrow16": 8, "lambdas": (0.002, 0.01, 0.05)}
    model = Calotype(Config.from_dict(sizes))
    start(model, lambda seed: photos.crops([0, 2, 4, 5], (seed,), 4, 128) / 255.0, batches=4)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "expand" in name or name.startswith("mean.out"):
                p += 0.003 * torch.randn_like(p)
            if p.numel() >= HALF_SIZE:
                p.copy_(p.half().float())
        # So small a set makes sigmas too small; estimates then count outliers that a file escapes for less.
        model.levels.bias += 8.0
    return model.eval()


@pytest.fixture(scope="module")
def plain(model: Calotype, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Tables that are the model's own laws: nothing is counted."""
    folder = tmp_path_factory.mktemp("packs") / "plain"
    export(model, Statistics(model), folder)
    return Pack(folder)


@pytest.fixture(scope="module")
def pack(model: Calotype, photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    statistics = Statistics(model)
    for k in range(6):
        x = photos.crops([0, 2, 4, 5], (99, k), 4, 128) / 255.0
        statistics.add(model, x, torch.tensor([0.0, 0.7, 1.3, 2.0]))
    folder = tmp_path_factory.mktemp("packs") / "thin"
    identity = export(model, statistics, folder, name="thin", training={"steps": 0})
    pack = Pack(folder)
    assert pack.manifest.id == identity
    return pack


@pytest.mark.parametrize("number", [0, 200, 256, 437, 512])
def test_a_real_file_is_what_torch_predicts(
    model: Calotype, pack: Pack, plain: Pack, picture: Callable[..., np.ndarray], number: int
) -> None:
    """Integers, bytes, pixels of the codec against ``forward(hard=True)``, at trained levels and between."""
    pixels = picture(SIDE, SIDE, 5)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255.0
    with torch.no_grad():
        out = model(x, torch.tensor([number / 256]), hard=True)
    data = encode(Picture(pixels), quality=pack.quality_of(number), pack=pack, threads=1).data
    file = parse(data)
    assert file.header.level == number
    networks = Networks(pack, pack.level(number))
    z, r = latents.read(networks, file.tiles[0], SIDE // 16, SIDE // 16)

    # Rounding falls the other way here and there, and a different z or r changes what follows it; between
    # trained levels the codec also takes a slightly different step for z (test_calotype.py).
    assert (z == out.z.numpy()).mean() > (0.99 if number % 256 == 0 else 0.9)
    assert (r == out.r.numpy()).mean() > (0.98 if number % 256 == 0 else 0.95)
    estimate = float((out.r_bits + out.z_bits).sum()) / 8
    without = len(encode(Picture(pixels), quality=plain.quality_of(number), pack=plain, threads=1).data)
    assert without == pytest.approx(estimate, rel=0.03, abs=40)
    assert len(data) < without  # counting pays

    k = model.levels(torch.tensor([number / 256]))
    with torch.no_grad():
        parts = split_phases(torch.from_numpy(r).float() * k.inv_gain)
        side = model.scales.dequantise(torch.from_numpy(z).float(), k.z_mul) / Z_UNIT
        y_hat = model.mean.walk(side, lambda p, mean: mean + parts[p])
        x_hat = (model.synthesis(y_hat, k.vector)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    decoded = decode(data, pack=pack, threads=1).picture.pixels
    assert np.abs(decoded.astype(int) - x_hat.astype(int)).max() <= 1
    assert np.abs(decoded.astype(int) - pixels).mean() < 16  # and it is the picture


def test_units_of_bottlenecks_are_folded_into_the_graphs(
    thin: Thin, picture: Callable[..., np.ndarray]
) -> None:
    model = thin(11)
    generator = torch.Generator().manual_seed(6)
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    with torch.no_grad():
        for block in blocks:
            for units in (block.given, block.added):
                units.copy_(10 ** (2 * torch.rand(units.shape, generator=generator) - 1))
    before = [block.given.clone() for block in blocks]
    pixels = picture(64, 128, 2)[None]
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0
    vector = model.levels(torch.tensor([1.0])).vector
    with torch.no_grad():
        y = model.analysis(x)
        x_hat = model.synthesis(y, vector)
        plain = folded(model.analysis)
        assert torch.allclose(plain(x), y, atol=1e-4 * float(y.abs().max()))
    assert all(bool((m.given == 1).all()) for m in plain.modules() if isinstance(m, Bottleneck))
    assert all(torch.equal(block.given, was) for block, was in zip(blocks, before))

    data = graphs(model, 1023)
    (got,) = ort.InferenceSession(data["analysis"]).run(None, {"pixels": pixels})
    # Weights are stored in fewer bits.
    assert np.abs(got - y.numpy()).max() < 0.01 * float(y.abs().max())
    feeds = {"y_hat": y.numpy(), "level": vector[0, :, 0, 0].detach().numpy()}
    (got,) = ort.InferenceSession(data["synthesis"]).run(None, feeds)
    expected = (x_hat[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(got[0].astype(int) - expected).max() <= 2
    assert expected.std() > 10


def test_quality_and_size_rise_together(pack: Pack, picture: Callable[..., np.ndarray]) -> None:
    pixels = picture(100, 140, 1)
    sizes, errors = [], []
    for quality in (0, 30, 60, 100):
        data = encode(Picture(pixels), quality=quality, pack=pack).data
        decoded = decode(data, pack=pack).picture.pixels.astype(float)
        sizes.append(len(data))
        errors.append(float(np.square(decoded - pixels).mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_the_scales_network_is_the_same_everywhere(thin: Thin) -> None:
    """Torch in both precisions, ONNX Runtime at every optimisation with 1 and 2 threads: the same classes."""
    model = thin(7)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in (model.scales.wide, model.scales.up, model.scales.near, model.scales.out):
            layer.weight.copy_(3 * torch.rand(layer.weight.shape, generator=generator) - 1.5)
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))
    data = graphs(model, 1023)["scales"]
    rng = np.random.default_rng(4)
    cases = [np.rint(rng.laplace(0, s, (1, 64, 5, 7))).clip(-1023, 1023) for s in (2, 30, 2000)]
    z_mul = rng.integers(900, 6000, 64).astype(np.float32)
    bias = rng.integers(-5000, 9000, 48).astype(np.float32)
    mul, offset = torch.from_numpy(z_mul)[None, :, None, None], torch.from_numpy(bias)[None, :, None, None]
    for z in cases:
        tensor = torch.from_numpy(z)
        with torch.no_grad():
            single = model.scales(tensor.float(), mul, offset).numpy()
            double = thin_double(model)(tensor.double(), mul.double(), offset.double()).numpy()
        assert len(np.unique(single)) > 20
        assert np.array_equal(single, double)
        for optimisation in (
            ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
            ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
            ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        ):
            for threads in (1, 2):
                options = ort.SessionOptions()
                options.graph_optimization_level, options.intra_op_num_threads = optimisation, threads
                session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
                feeds = {"z": z.astype(np.float32), "z_mul": z_mul, "bias": bias}
                assert np.array_equal(session.run(None, feeds)[0], single), (optimisation, threads)


def thin_double(model: Calotype) -> Any:
    from calotype.lab.pack.graphs import frozen_scales

    return frozen_scales(model).double()


def test_exact_interpolation_is_that_of_the_codec() -> None:
    table = np.random.default_rng(0).integers(-(2**23), 2**23, (4, 9)).astype(np.int32)
    for number in (0, 1, 127, 128, 255, 256, 511, 700, 768):
        assert np.array_equal(exact.at(table, number), levels.exact(table, number))


# -- refusals: each by a model that really breaks the rule ---------------------------


@pytest.mark.parametrize(
    ("layer", "spoil"),
    [
        ("out", lambda m: m.levels.bias.fill_(66_000.0)),
        ("near", lambda m: m.scales.near.bias.fill_(2.0**17)),
        ("up", lambda m: m.scales.up.bias[3].fill_(-(2.0**17))),
        ("wide", lambda m: m.scales.wide.bias.fill_(2.0**17)),
    ],
)
def test_a_model_whose_sums_could_be_inexact_is_refused(
    thin: Thin, tmp_path: Path, layer: str, spoil: Callable[[Calotype], Any]
) -> None:
    model = thin()
    with torch.no_grad():
        spoil(model)
    with pytest.raises(ExportError, match=f"scales layer {layer}: sums can reach"):
        export(model, Statistics(model), tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_computes_something_else_is_refused(
    thin: Thin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are no integers: float16 storage and float32 sums cannot give what float64 gives."""

    def unrounded(self: IntConv) -> tuple[torch.Tensor, torch.Tensor]:
        return self.weight * 2.0**self.shift, round_through(self.bias * 2.0**self.shift)

    model, folder = thin(), tmp_path / "pack"
    export(model, Statistics(model), folder)
    before = (folder / "manifest.json").read_bytes()
    with torch.no_grad():
        for layer in (model.scales.wide, model.scales.up, model.scales.near, model.scales.out):
            layer.weight.uniform_(-1, 1)
    monkeypatch.setattr(IntConv, "integers", unrounded)
    with pytest.raises(ExportError, match=r"golden vector \d: \d+ of \d+ sigma indices differ"):
        export(model, Statistics(model), folder)
    assert (folder / "manifest.json").read_bytes() == before  # the pack that was there still is
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]
    assert Pack(folder).graph("scales")


def test_a_folder_that_is_no_pack_is_not_touched(thin: Thin, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a pack"):
        export(thin(), Statistics(thin()), tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


# -- a run's pack --------------------------------------------------------------------


def test_a_run_becomes_a_pack_of_its_averaged_weights(
    trainer: Callable[..., Trainer], folder: Path, tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    run = trainer(steps=2, ema=0.0)
    run.run()
    for name, value in run.ema.items():
        if name == "synthesis.patch.bias":
            value += 20.0  # every pixel white: a mark of the averaged weights
    run.save()
    calls: list[tuple[int, int]] = []
    identity, record = export_run(
        tmp_path / "run",
        tmp_path / "pack",
        data=[folder],
        batches=2,
        record={"sources": "generated"},
        progress=lambda *at: calls.append(at),
    )
    pack = Pack(tmp_path / "pack")
    assert pack.manifest.id == identity
    assert calls == [(1, 2), (2, 2)]
    training = json.loads((tmp_path / "pack" / "manifest.json").read_text())["training"]
    assert training == json.loads(json.dumps({**record, "integer_bounds": training["integer_bounds"]}))
    assert training["steps"] == 2
    assert training["data"]["photographs"] == 6
    assert training["sources"] == "generated"
    assert len(training["validation"]["bpp"]) == len(training["validation"]["lambda"]) == 3
    assert str(tmp_path) not in json.dumps(training)
    decoded = decode(encode(Picture(picture(40, 50)), pack=pack).data, pack=pack).picture.pixels
    assert (decoded == 255).all()


def test_only_the_product_becomes_a_pack(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    trainer(steps=1, subject=Subject("balle2018-factorized", {"n": 8, "m": 12}, lam=0.01)).run()
    with pytest.raises(ValueError, match="packs are made of calotype only"):
        export_run(tmp_path / "run", tmp_path / "pack")
