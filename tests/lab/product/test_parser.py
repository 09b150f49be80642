"""The native parser against the torch model: the same tables for the same integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from calotype.codec import library, tensors
from calotype.codec.latents import Networks, quantise
from calotype.coder import LatentCoder, LevelIntegers, TableSet
from calotype.coder.latents import kernels
from calotype.coder.trellis import numbers
from calotype.lab.layers.integer import IntConv
from calotype.lab.models.calotype import Config
from calotype.lab.models.calotype_coding import LatentNetworks, _whole
from calotype.lab.models.calotype_latents import HYPER, Z_FRACTIONS, dequantise, magnitude, quarters
from calotype.lab.models.calotype_levels import Knobs
from calotype.lab.models.calotype_walk import (
    HIGH_OCTAVES,
    HYPER_OCTAVES,
    LOW,
    LOW_OCTAVES,
    Stage,
    split_phases,
    walk,
)
from calotype.lab.pack import exact

M = 37
PHOTOGRAPH = Path(__file__).parents[3] / "examples/miner-portrait.jpg"
SIZES = [(1, 1), (1, 20), (20, 1), (2, 3), (3, 2), (5, 8), (7, 7), (8, 8), (9, 9), (12, 17), (16, 16)]
SIZES += [(15, 10), (19, 18), (20, 4), (6, 13), (33, 50)]


def randomised(seed: int) -> LatentNetworks:
    """Networks with weights far from their start: sums now and then beyond every clip."""
    torch.manual_seed(seed)
    latents = LatentNetworks(Config(latents=M)).double().eval()
    with torch.no_grad():
        for layer in latents.modules():
            if isinstance(layer, IntConv):
                spread = 60 / (layer.weight[0].numel() ** 0.5)
                layer.weight.copy_(torch.randn_like(layer.weight) * spread / 2**layer.shift)
                own = torch.randn_like(layer.bias) * 20 if layer.bias.requires_grad else 0 * layer.bias
                layer.bias.copy_(own)
    return latents


def arrays(latents: LatentNetworks) -> dict[str, np.ndarray]:
    """As a pack holds them."""
    found = {}
    for prefix, part in (("hyper.", latents.hyper_model), ("scales.", latents.scales)):
        for name, layer in part.named_modules():
            if isinstance(layer, IntConv):
                weight, bias = (t.detach().numpy() for t in layer.integers())
                if name.startswith("own"):
                    weight = weight * np.tril(np.ones((HYPER, HYPER)), -1)[:, :, None, None]
                found[f"{prefix}{name}.weight"] = weight.astype(np.int16)
                if layer.bias.requires_grad:
                    found[f"{prefix}{name}.bias"] = bias.astype(np.int32)
    return found


def random_level(rng: np.random.Generator, wild: bool) -> LevelIntegers:
    def table(centre: float, spread: float, *shape: int) -> np.ndarray:
        return np.rint((centre + rng.normal(0, spread, shape)) * 256).astype(np.int32)

    wide = 300 if wild else 3
    return LevelIntegers(
        # Powers of two put locations halfway between two quarters.
        z_mul=rng.integers(1, 20_000, HYPER) if wild else rng.choice([1024, 2048, 1500, 3333], HYPER),
        z_place=table(0, 3 * wide, 7, HYPER),
        z_scale=table(8, wide, 7, HYPER),
        low_bias=table(30, 5 * wide, 10, LOW),
        high_bias=table(4, 3 * wide, 4, M - LOW),
    )


def knobs(level: LevelIntegers) -> Knobs:
    def t(values: object) -> Tensor:
        return torch.from_numpy(np.array(values, np.float64))[None, ..., None, None]

    names = ("z_mul", "z_place", "z_scale", "low_bias", "high_bias")
    none = torch.zeros(0)
    return Knobs(none, none, none, none, vector=none, **{n: t(getattr(level, n)) for n in names})


@torch.no_grad()
def reference(latents: LatentNetworks, k: Knobs, z: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, ...]:
    """Tables and shifts of z, classes and settled r, as `LatentNetworks.forward` has them for integers.

    r: the numbers that are coded
    """
    h, w = r.shape[1:]
    rows, columns = -(-h // 8) * 8, -(-w // 8) * 8
    inside = torch.zeros(1, 1, rows, columns, dtype=torch.float64)
    inside[..., :h, :w] = 1
    whole_r = torch.zeros(1, len(r), rows, columns, dtype=torch.float64)
    whole_r[0, :, :h, :w] = torch.from_numpy(r)
    whole_z = torch.zeros(1, HYPER, rows // 2, columns // 2, dtype=torch.float64)
    whole_z[0, :, : z.shape[1], : z.shape[2]] = torch.from_numpy(z)
    d = dequantise(whole_z, k.z_mul)
    locations: list[Tensor] = []
    sizes: list[Tensor] = []

    def code_z(stage: Stage, known: list[Tensor]) -> Tensor:
        own = stage.pick(d)
        place, scale = k.z_place[:, stage.number], k.z_scale[:, stage.number]
        location, size = latents.hyper_model(stage, known, own, place, scale)
        locations.append(location)
        sizes.append(size)
        return own

    walk(HYPER_OCTAVES, code_z)
    fourths = quarters(_whole(locations, HYPER_OCTAVES), k.z_mul).round()
    shift = torch.floor(fourths / Z_FRACTIONS)
    table = _whole(sizes, HYPER_OCTAVES) * Z_FRACTIONS + fourths - shift * Z_FRACTIONS
    side = latents.scales.side(d)
    found: list[Tensor] = []
    kept: list[Tensor] = []

    def code(stage: Stage, r: Tensor, index: Tensor) -> Tensor:
        index = index * stage.pick(inside)
        found.append(index)
        kept.append(stage.pick(r) * (index > 0.5))
        return kept[-1]

    def low(stage: Stage, known: list[Tensor]) -> Tensor:
        bias = k.low_bias[:, stage.number]
        index = latents.scales.low_stage(stage, [magnitude(t) for t in known], side, bias)
        return code(stage, whole_r[:, :LOW], index)

    low_r = walk(LOW_OCTAVES, low)
    context = [latents.scales.high_context([magnitude(t) for t in split_phases(low_r)])]

    def high(stage: Stage, known: list[Tensor]) -> Tensor:
        p = stage.phase
        if p:
            context.append(latents.scales.reduced(p - 1, magnitude(known[-1])))
        index = latents.scales.high_stage(p, context, side, k.high_bias[:, p])
        return code(stage, whole_r[:, LOW:], index)

    low_index, low_kept = _whole(found, LOW_OCTAVES), _whole(kept, LOW_OCTAVES)
    found, kept = [], []
    walk(HIGH_OCTAVES, high)
    index = torch.cat((low_index, _whole(found, HIGH_OCTAVES)), 1)
    settled = torch.cat((low_kept, _whole(kept, HIGH_OCTAVES)), 1)
    maps = (table[..., : z.shape[1], : z.shape[2]], shift[..., : z.shape[1], : z.shape[2]])
    return tuple(t[0].numpy() for t in (*maps, index[..., :h, :w], settled[..., :h, :w]))


def laws(count: int) -> TableSet:
    """Any tables will do."""
    return TableSet([[1, 3, 9, 3, 1, 1]] * count, [-2] * count)


def integers(rng: np.random.Generator, h: int, w: int, wild: bool) -> tuple[np.ndarray, np.ndarray]:
    cells = (HYPER, (h + 1) // 2, (w + 1) // 2)
    if wild:
        z = rng.integers(-1023, 1024, cells)
        r = rng.integers(-32767, 32768, (M, h, w)) >> rng.integers(0, 16, (M, 1, 1))
    else:
        z = np.rint(rng.normal(0, 4, cells))
        r = np.rint(rng.laplace(0, 0.6, (M, h, w)) * rng.uniform(0, 2, (M, 1, 1)))
    return z.astype(np.int32), r.astype(np.int32)


@pytest.mark.parametrize("kernel", kernels())
@pytest.mark.parametrize("wild", [False, True])
def test_tables_are_those_of_the_model(kernel: str, wild: bool) -> None:
    rng = np.random.default_rng(wild)
    latents = randomised(wild)
    coder = LatentCoder(arrays(latents), laws(64), laws(384), kernel=kernel)
    seen: set[int] = set()
    for h, w in SIZES:
        level = random_level(rng, wild)
        z, r = integers(rng, h, w, wild)
        found = coder.classes(level, z, r)
        number = numbers(found.r, found.second)
        table, shift, index, settled = reference(latents, knobs(level), z, number)
        np.testing.assert_array_equal(found.z_shift, shift)
        np.testing.assert_array_equal(found.z_table, table)
        np.testing.assert_array_equal(found.index[:LOW], index[:LOW])
        np.testing.assert_array_equal(found.index[LOW:], index[LOW:])
        np.testing.assert_array_equal(settled, number)
        seen |= set(index.flatten())
        data = coder.write(level, z, found.r)
        back = coder.read(level, data, h, w)
        np.testing.assert_array_equal(back[0], z)
        np.testing.assert_array_equal(back[1], found.r)
    assert len(seen) > 40, "the tables of the test should vary"


def of_pack(tables: dict[str, np.ndarray]) -> LatentNetworks:
    """The networks of a pack, integer for integer: the other way round than `arrays`."""
    latents = LatentNetworks(Config(latents=tables["unit"].size)).double().eval()
    with torch.no_grad():
        for prefix, part in (("hyper.", latents.hyper_model), ("scales.", latents.scales)):
            for name, layer in part.named_modules():
                if isinstance(layer, IntConv):
                    weight = torch.from_numpy(tables[f"{prefix}{name}.weight"].astype(np.float64))
                    layer.weight.copy_(weight / 2**layer.shift)
                    bias = tables.get(f"{prefix}{name}.bias", np.zeros(len(weight)))
                    layer.bias.copy_(torch.from_numpy(bias.astype(np.float64)) / 2**layer.shift)
                    held, shifts = (t.numpy() for t in layer.integers())
                    assert np.array_equal(held, weight.numpy()), name
                    assert np.array_equal(shifts, bias), name
    return latents


@pytest.mark.slow
@pytest.mark.parametrize("name", ["photo-psnr", "photo-eyes"])
def test_tables_of_the_packs_that_come_along(name: str) -> None:
    """Torch and the native code, at all trained levels and between, on a photograph, with 1 and 2 threads."""
    pack = library.load(name)
    tables = tensors.load(pack.file("tables.safetensors"))
    latents, coder = of_pack(tables), pack.coder
    with Image.open(PHOTOGRAPH) as file:
        pixels = np.asarray(file.convert("RGB").crop((0, 0, 16 * 19, 16 * 14)))
    y = pack.encoder.analysis(pixels)[None]
    top = pack.manifest.max_level
    seen: set[int] = set()
    for number in sorted({*range(0, top + 1, 256), *range(101, top, 256)}):
        level = pack.level(number)
        coded = quantise(Networks(pack, level), y)
        z, r = (t[0].astype(np.int32) for t in (coded.z, coded.r))
        found = coder.classes(level.parser, z, r)
        assert np.array_equal(found.r, r)
        assert coder.write(level.parser, z, r) == coded.payload
        seen |= set(found.index.flatten())
        for threads in (1, 2):
            torch.set_num_threads(threads)
            coded = numbers(found.r, found.second)
            table, shift, index, settled = reference(latents, exact.knobs(tables, number), z, coded)
            np.testing.assert_array_equal(found.z_table, table)
            np.testing.assert_array_equal(found.z_shift, shift)
            np.testing.assert_array_equal(found.index, index)
            np.testing.assert_array_equal(settled, coded)
    assert len(seen) > 50, "the levels should use most classes"
