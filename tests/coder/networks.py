"""Networks of the parser with random weights, and tiles for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.coder import LatentCoder, LevelIntegers, TableSet, gaussian_tables, log_scales

K, LOW, HIGH = 3, 5, 13
SIZES = {"narrow": 5, "wide": 7, "low": 9, "reduced": 5, "near": 18, "mix": 6}
"""Unlike the product's, none is a multiple of 16 and many are odd."""


def random_arrays(seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Every array that the parser's networks have."""
    rng = np.random.default_rng(seed)
    n = SIZES
    side = n["wide"] + K
    shapes: dict[str, tuple[int, int, int, bool]] = {"scales.wide": (n["wide"], K, 3, True)}
    for s in range(7):
        shapes[f"hyper.own.{s}"] = (K, K, 1, False)
    for s in range(6):
        known = K * (1 + s % 3)
        shapes[f"hyper.hidden.{s}"] = (n["narrow"], known, 3, True)
        shapes[f"hyper.linear.{s}"] = (K, known, 3, False)
        shapes[f"hyper.place.{s}"] = (K, n["narrow"], 1, False)
        shapes[f"hyper.scale.{s}"] = (K, n["narrow"], 1, False)
    for s in range(9):
        shapes[f"scales.low.{s}"] = (n["low"], LOW * (1 + s % 3), 3, True)
    for s in range(10):
        shapes[f"scales.low_out.{s}"] = (LOW, side + (n["low"] if s else 0), 1, False)
    shapes["scales.below"] = (n["reduced"], 4 * LOW, 1, True)
    for p in range(3):
        shapes[f"scales.reduce.{p}"] = (n["reduced"], HIGH, 1, True)
    for p in range(4):
        shapes[f"scales.near.{p}"] = (n["near"], n["reduced"] * (1 + p), 3, True)
        shapes[f"scales.mix.{p}"] = (n["mix"], n["near"] + side, 1, True)
        shapes[f"scales.high_out.{p}"] = (HIGH, n["mix"] + K, 1, False)
    found: dict[str, NDArray[np.generic]] = {}
    for name, (out, into, kernel, bias) in shapes.items():
        spread = 60 / (into * kernel * kernel) ** 0.5
        weight = np.rint(rng.normal(0, spread, (out, into, kernel, kernel))).astype(np.int16)
        if name.startswith("hyper.own"):
            weight *= np.tril(np.ones((K, K), np.int16), -1)[:, :, None, None]
        found[f"{name}.weight"] = weight
        if bias:
            found[f"{name}.bias"] = np.rint(rng.normal(0, 2000, out)).astype(np.int32)
    return found


def random_level(seed: int = 0) -> LevelIntegers:
    """A level at which classes vary, of which some are 0."""
    rng = np.random.default_rng(seed)

    def table(centre: float, spread: float, *shape: int) -> NDArray[np.int32]:
        return np.rint((centre + rng.normal(0, spread, shape)) * 256).astype(np.int32)

    return LevelIntegers(
        z_mul=rng.integers(1000, 4000, K).astype(np.int32),
        z_place=table(0, 5, 7, K),
        z_scale=table(8, 3, 7, K),
        low_bias=table(20, 9, 10, LOW),
        high_bias=table(2, 6, 4, HIGH),
    )


def tables() -> tuple[TableSet, TableSet]:
    """Laws of z and r; any will do."""
    return gaussian_tables(log_scales(64, 0.3, 5.0)), gaussian_tables([*log_scales(64, 0.11, 64.0)] * 6)


def random_tile(h: int, w: int, seed: int = 0, *, wild: bool = False) -> tuple[NDArray[np.int32], ...]:
    """z and r of a tile of h x w latents: small, or any that a stream may hold."""
    rng = np.random.default_rng(seed)
    cells, sites = (K, (h + 1) // 2, (w + 1) // 2), (LOW + HIGH, h, w)
    if wild:
        z = rng.integers(-1023, 1024, cells)
        r = rng.integers(-32767, 32768, sites) >> rng.integers(0, 16, sites)
    else:
        z, r = np.rint(rng.normal(0, 3, cells)), np.rint(rng.laplace(0, 0.7, sites))
    return z.astype(np.int32), r.astype(np.int32)


def random_coder(seed: int = 0, kernel: str | None = None) -> LatentCoder:
    """A coder of random networks."""
    return LatentCoder(random_arrays(seed), *tables(), kernel=kernel)
