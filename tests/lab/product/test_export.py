"""From a model to a pack to a file: what torch says is what the codec does, or there is no pack."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calotype.bitstream import parse
from calotype.codec import latents, manifest, tensors
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.metrics import psnr
from calotype.codec.pack import Pack
from calotype.coder import EncoderNetworks
from calotype.errors import PackError
from calotype.lab.export import ExportError, Statistics, export, export_run, measure_loss
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_transforms import Bottleneck, folded
from calotype.lab.pack import exact
from calotype.lab.pack.fixed_analysis import encoder_arrays
from calotype.lab.pack.folder import publish
from calotype.lab.pack.tables import r_tables, z_tables
from calotype.lab.pack.trellis import Plan
from calotype.lab.pack.write import _level_arrays
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.subject import Subject

from .running import level

Thin = Callable[..., Calotype]
Calibration = tuple[torch.Tensor, torch.Tensor]
SIDE = 256


@pytest.fixture(scope="module")
def model(started: Calotype) -> Calotype:
    return started


@pytest.fixture(scope="module")
def pack(
    model: Calotype, photos: Photos, calibration: Calibration, tmp_path_factory: pytest.TempPathFactory
) -> Pack:
    statistics = Statistics()
    for k in range(6):
        x = photos.crops([0, 2, 4, 5], (99, k), 4, 128) / 255.0
        statistics.add(model, x, torch.tensor([0.0, 0.7, 1.3, 2.0]))
    folder = tmp_path_factory.mktemp("packs") / "thin"
    identity = export(model, statistics, folder, name="thin", training={"steps": 0}, calibration=calibration)
    pack = Pack(folder)
    assert pack.manifest.id == identity
    return pack


def with_tables(pack: Pack, folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> Pack:
    """The same pack but for what is done to its tables: making networks anew takes seconds."""
    fields = json.loads(manifest.read(pack.path, manifest.NAME))
    arrays = tensors.load(manifest.read(pack.path, manifest.TABLES))
    change(arrays)
    networks, encoder = (tensors.load(pack.file(name)) for name in (manifest.NETWORKS, manifest.ENCODER))
    publish({"tables": arrays, "networks": networks, "encoder": encoder}, fields, folder)
    return Pack(folder)


@pytest.fixture(scope="module")
def plain(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Tables that are the model's own laws: nothing is counted."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        for prefix, tables in (("r_", r_tables(Statistics())), ("z_", z_tables(Statistics()))):
            arrays.update({prefix + key: value for key, value in tables.to_arrays().items()})

    return with_tables(pack, tmp_path_factory.mktemp("packs") / "plain", change)


@pytest.mark.parametrize("number", [0, 200, 256, 437, 512])
def test_a_real_file_is_what_torch_predicts(
    model: Calotype, pack: Pack, plain: Pack, picture: Callable[..., np.ndarray], number: int
) -> None:
    """Integers, bytes, pixels of the codec against ``forward`` with the pack's plan, at trained levels and
    between.
    """
    pixels = picture(SIDE, SIDE, 5)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255.0
    k = level(model, number / 256)
    with torch.no_grad():
        out = model(x, torch.tensor([number / 256]), hard=True, plan=Plan(pack.r_tables))
    data = encode(Picture(pixels), level=number, pack=pack, threads=1).data
    file = parse(data)
    assert file.header.level == number
    networks = Networks(pack, pack.level(number))
    z, r = latents.read(networks, file.tiles[0], SIDE // 16, SIDE // 16)
    # Rounding falls the other way here and there, and a different z or r changes what follows it.
    assert (z == out.latents.z[0].numpy()).mean() > 0.95
    assert (r == out.latents.r[0].numpy()).mean() > 0.65

    found = pack.coder.classes(networks.level.parser, z, r)
    with torch.no_grad():
        floats = (torch.from_numpy(t[None]).float() for t in (z, latents.numbers(r, found.second)))
        _, _, index = model.latents.classes(*floats, k)
    assert np.array_equal(found.index, index[0].numpy())
    assert np.array_equal(found.r, r)
    estimate = float((out.r_bits + out.z_bits).sum()) / 8
    assert len(file.tiles[0]) == pytest.approx(estimate, rel=0.03, abs=16)
    uncounted = plain.coder.write(plain.level(number).parser, z, r)
    assert len(file.tiles[0]) < len(uncounted)  # counting pays

    y_hat = torch.from_numpy(
        latents.restore(networks, z, r).transpose(2, 0, 1)[None] * pack.unit[:, None, None]
    )
    with torch.no_grad():
        x_hat = (model.synthesis(y_hat, k.vector)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        promised = (out.x_hat[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    decoded = decode(data, pack=pack, threads=1).picture.pixels
    assert psnr(decoded, x_hat.astype(np.uint8)) > 44
    assert psnr(decoded, promised.astype(np.uint8)) > 30
    assert np.abs(decoded.astype(int) - pixels).mean() < 16  # and it is the picture


def test_previews_are_the_picture_at_an_eighth(pack: Pack, picture: Callable[..., np.ndarray]) -> None:
    pixels = picture(SIDE, SIDE, 5)
    small = preview(encode(Picture(pixels), quality=95, pack=pack).data, pack=pack).picture.pixels
    means = pixels.reshape(SIDE // 8, 8, SIDE // 8, 8, 3).mean((1, 3))
    assert small.shape == means.shape
    assert np.sqrt(np.square(small - means).mean()) < 0.25 * means.std()


@pytest.mark.parametrize(
    "name", ["golden_z_table", "golden_z_shift", "golden_index", "golden_pixels", "golden_preview"]
)
def test_a_spoilt_golden_vector_is_refused(name: str, pack: Pack, tmp_path: Path) -> None:
    """One law that comes out otherwise here than where the pack was made."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][-1, -1, -1, -1] ^= 1

    spoilt = with_tables(pack, tmp_path / "pack", change)
    pixels = name in ("golden_pixels", "golden_preview")
    with pytest.raises(PackError, match="other pixels here" if pixels else "other classes here"):
        _ = spoilt.decoder if pixels else spoilt.coder
    assert pack.coder.channels == pack.decoder.channels == 96


def test_units_of_bottlenecks_are_folded_into_the_weights(
    thin: Thin, calibration: Calibration, picture: Callable[..., np.ndarray]
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
    with torch.no_grad():
        y = model.analysis(x)
        plain = folded(model.analysis)
        assert torch.allclose(plain(x), y, atol=1e-4 * float(y.abs().max()))
    assert all(bool((m.given == 1).all()) for m in plain.modules() if isinstance(m, Bottleneck))
    assert all(torch.equal(block.given, was) for block, was in zip(blocks, before))

    got = EncoderNetworks(encoder_arrays(model, *calibration)).analysis(pixels[0])
    assert np.abs(got - y[0].numpy()).max() < 0.02 * float(y.abs().max())


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


# -- refusals: each by a model that really breaks the rule ---------------------------


def layers() -> list[Any]:
    """Every integer layer; all are checked by one loop, so most are slow."""
    config = Config(latents=48, width=16, narrow=8, narrow16=8, wide16=8, render=8)
    names = exact.integer_layers(Calotype(config))
    return [pytest.param(name, marks=[pytest.mark.slow] if k % 4 else []) for k, name in enumerate(names)]


@pytest.mark.parametrize("layer", layers())
def test_a_model_whose_sums_could_be_inexact_is_refused(layer: str, thin: Thin) -> None:
    """By too large a bias where a layer has one, else by too large a limit of its weights."""
    model = thin()
    spoilt = exact.integer_layers(model)[layer]
    with torch.no_grad():
        if spoilt.bias.requires_grad:
            spoilt.bias[-1] = -(2.0**17)
        else:
            spoilt.limit = 2**17
            spoilt.weight.fill_(2.0**9)
    with pytest.raises(ExportError, match=rf"integer layer {layer}: sums can reach"):
        exact.check_bounds(model, _level_arrays(model))


@pytest.mark.parametrize("name", ["low_bias", "high_bias", "z_place", "z_scale"])
def test_levels_count_for_the_bound(name: str, thin: Thin, calibration: Calibration, tmp_path: Path) -> None:
    model = thin()
    with torch.no_grad():
        getattr(model.levels, name).view(-1)[5] = -66_000.0
    with pytest.raises(ExportError, match=r"integer layer \S+: sums can reach"):
        export(model, Statistics(), tmp_path / "pack", calibration=calibration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("log_step", [-7.0, -20.0])
def test_too_fine_a_step_of_z_is_refused(
    log_step: float, thin: Thin, calibration: Calibration, tmp_path: Path
) -> None:
    """Its inverse, which locations are multiplied by, would be too large, or not exist."""
    model = thin()
    with torch.no_grad():
        model.levels.log_z_step[0, 1] = log_step
    with pytest.raises(ExportError, match="quarters: sums can reach"):
        export(model, Statistics(), tmp_path / "pack", calibration=calibration)


def test_the_bound_is_never_exceeded(lively: Thin) -> None:
    """Layer by layer on the worst input: the bound is reached, and no more."""
    model = lively(2)
    bounds = exact.check_bounds(model, _level_arrays(model))
    for name, layer in exact.integer_layers(model).items():
        weight, bias = (t.detach() for t in layer.integers())
        worst = weight.abs().sum((1, 2, 3)).argmax()
        for peak in (127, 255):
            x = peak * weight[worst].sign()
            acc = float((x * weight[worst]).sum() + bias[worst].abs())
            assert acc <= layer.bound(peak)
            if peak == 127:
                assert acc <= bounds[name]


def test_a_bias_where_the_levels_stands_is_refused(thin: Thin) -> None:
    model = thin()
    model.latents.scales.low_out[3].bias[0] = 1.0
    with pytest.raises(ExportError, match=r"scales\.low_out\.3: has a bias"):
        exact.integer_arrays(model)


def test_tables_that_a_codec_refuses_are_not_published(
    thin: Thin, calibration: Calibration, tmp_path: Path
) -> None:
    model = thin()
    with torch.no_grad():
        model.levels.vector[0, 20] = 3e4  # at a level that the calibration does not see
    with pytest.raises(ExportError, match="level_vector has values that float32 does not hold"):
        export(model, Statistics(), tmp_path / "pack", calibration=(calibration[0], torch.ones(6)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_pack_is_not_touched(
    thin: Thin, calibration: Calibration, tmp_path: Path
) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a pack"):
        export(thin(), Statistics(), tmp_path, calibration=calibration)
    assert (tmp_path / "precious.txt").read_text() == "mine"


# -- a run's pack --------------------------------------------------------------------


@pytest.mark.slow  # test_lab.py of the command line exports a run, too
def test_a_run_becomes_a_pack_of_its_averaged_weights(
    trainer: Callable[..., Trainer],
    folder: Path,
    tmp_path: Path,
    picture: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calotype.lab.export.CROP", 128)
    monkeypatch.setattr("calotype.lab.export.RANGE_CROPS", 8)
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
        most=math.inf,  # a white picture has no PSNR that rises
        progress=lambda *at: calls.append(at),
    )
    pack = Pack(tmp_path / "pack")
    assert pack.manifest.id == identity
    assert calls == [(k, 5) for k in range(1, 6)]  # three rounds of one batch, and one of both
    training = json.loads((tmp_path / "pack" / "manifest.json").read_text())["training"]
    assert training == json.loads(json.dumps({**record, "integer_bounds": training["integer_bounds"]}))
    assert training["steps"] == 2
    assert training["data"]["photographs"] == 6
    assert training["sources"] == "generated"
    assert len(training["validation"]["bpp"]) == len(training["validation"]["lambda"]) == 3
    assert str(tmp_path) not in json.dumps(training)
    decoded = decode(encode(Picture(picture(40, 50)), pack=pack).data, pack=pack).picture.pixels
    assert (decoded == 255).all()


def test_a_pack_that_is_there_is_measured_as_an_export_does(
    trainer: Callable[..., Trainer],
    started: Calotype,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The record comes to where it was missing, and nothing else of the pack changes."""
    monkeypatch.setattr("calotype.lab.export.CROP", 128)
    monkeypatch.setattr("calotype.lab.export.RANGE_CROPS", 8)
    made = trainer(steps=1, subject=Subject(options=asdict(started.config)), ema=0.0)
    made.run()
    weights = started.state_dict()
    for name, value in made.ema.items():
        value.copy_(weights[name])
    made.save()
    pack, run = tmp_path / "pack", tmp_path / "run"
    identity, record = export_run(run, pack, data=[folder], batches=2, check=[folder], most=math.inf)
    whole = (pack / "manifest.json").read_text()
    assert record["integer_loss"]["percent"] is not None
    about = json.loads(whole)
    del about["training"]["integer_loss"]
    (pack / "manifest.json").write_text(json.dumps(about))
    assert measure_loss(pack, run, data=[folder], check=[folder]) == record["integer_loss"]
    assert json.loads((pack / "manifest.json").read_text()) == json.loads(whole)
    assert Pack(pack).manifest.id == identity
    with pytest.raises(ValueError, match="not a pack"):
        measure_loss(tmp_path / "nothing", run, data=[folder])


def test_only_the_product_becomes_a_pack(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    trainer(steps=1, subject=Subject("balle2018-factorized", {"n": 8, "m": 12}, lam=0.01)).run()
    with pytest.raises(ValueError, match="packs are made of calotype only"):
        export_run(tmp_path / "run", tmp_path / "pack")
