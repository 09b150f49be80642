"""Other tables: what would it gain to fit them anew, by more kinds, or to let each tile choose among several?

Symbols are counted on photographs of training, tables fitted to these counts and judged on others. Bits are
-log2 of shares, a choice costs log2 of the number of tables. Symbols beyond +-80 are counted with the last,
so that only classes of less than SHORT steps are fitted. Of residuals those of the trellis's first quantiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calotype.codec import latents
from calotype.codec.bits import stages
from calotype.codec.pack import Pack
from calotype.coder.gaussian import log_scales
from calotype.lab.models.calotype_latents import SCALE_MAX, SCALE_MIN, SCALES
from studies.entropy.crops import Array, Crop

REACH = 80
SPAN = 2 * REACH + 1
SHORT = 20.0
WIDE = np.asarray(log_scales(SCALES, SCALE_MIN, SCALE_MAX)) >= SHORT
GROUPS = 8
"""Of residuals: base, octaves 2, 1, 0 of the low channels, phases 0 to 3 of the others."""
KIND = (0, 1, 1, 1, 2, 2, 2, 2)
"""Of each group: which of today's three sets of tables codes it."""
PRIOR = {"r": 1000.0, "z": 300.0}
"""Symbols that today's table counts for in a fit."""
ROUNDS = 12
SHIFTS = range(-3, 4)


class Counts:
    """Symbols of a tile: r [8, 64, 161] by group and class, z [64, 161] by table; its bits, and those of them
    in wide classes.
    """

    def __init__(self, crop: Crop) -> None:
        found = crop.classes(crop.z, crop.r)
        group = np.empty(found.r.shape, np.int64)
        for number, sites in enumerate(stages(3)):
            group[: latents.LOW, sites[0], sites[1]] = (number + 2) // 3
        for phase, (i, j) in enumerate(latents.PHASES):
            group[latents.LOW :, i::2, j::2] = 4 + phase
        first = found.second == 0  # of the trellis's quantisers: the other has tables of its own
        rows, numbers = group * SCALES + found.index, latents.numbers(found.r, found.second)
        self.r = _counted(rows[first], numbers[first], GROUPS * SCALES).reshape(GROUPS, SCALES, SPAN)
        self.z = _counted(found.z_table.astype(np.int64), crop.z - found.z_shift, 64)
        bits = crop.r_bits(found)
        self.bits = float(bits[first].sum() + crop.z_bits(crop.z, found).sum())
        self.wide = float(bits[first & WIDE[found.index]].sum())

    @property
    def kinds(self) -> Array:
        """The symbols of r by today's kinds, [3, 64, 161]."""
        return np.stack([self.r[[k for k in range(GROUPS) if KIND[k] == kind]].sum(0) for kind in range(3)])


def _counted(row: Array, symbol: Array, rows: int) -> Array:
    place = row * SPAN + np.clip(symbol, -REACH, REACH) + REACH
    return np.bincount(place.reshape(-1), minlength=rows * SPAN).reshape(rows, SPAN).astype(np.float32)


class Fits:
    """Tables in bits, today's and those that are fitted to the symbols of ``training``."""

    def __init__(self, pack: Pack, training: Sequence[Counts]) -> None:
        symbols = np.arange(-REACH, REACH + 1)[None]
        r = pack.r_tables.bits(*np.broadcast_arrays(symbols, np.arange(3 * SCALES)[:, None]))
        self.r = np.asarray(r).reshape(3, SCALES, SPAN)
        self.r[2, 0] = 0  # not coded
        self.z = np.asarray(pack.z_tables.bits(*np.broadcast_arrays(symbols, np.arange(64)[:, None])))
        self.training = training

    def r_fit(self, counts: Array, base: Array) -> Array:
        """Tables like ``base`` [..., 64, 161] for such counts: symmetric, the wide ones as they are."""
        fitted = _fit((counts + counts[..., ::-1]) / 2, base, PRIOR["r"])
        keep = WIDE[:, None] | (base == 0)
        return np.where(keep, base, fitted)

    def z_fit(self, counts: Array, base: Array) -> Array:
        """The same for z."""
        return _fit(counts, base, PRIOR["z"])

    def ideas(self) -> dict[str, Callable[[Counts], float]]:
        """By name, the bits that a tile saves."""
        r = self.r_fit(np.sum([c.kinds for c in self.training], axis=0), self.r)
        by_group = self.r_fit(np.sum([c.r for c in self.training], axis=0), self.r[list(KIND)])
        z = self.z_fit(np.sum([c.z for c in self.training], axis=0), self.z)
        found: dict[str, Callable[[Counts], float]] = {
            "r: tables fitted anew": lambda c: float((c.kinds * (self.r - r)).sum()),
            "r: tables for 8 kinds instead of 3": lambda c: float(
                (c.r * (self.r[list(KIND)] - by_group)).sum()
            ),
            "z: tables fitted anew": lambda c: float((c.z * (self.z - z)).sum()),
        }
        for many in (2, 4, 8, 16):
            bank = hard_em([c.kinds for c in self.training], self.r, many, self.r_fit)
            found[f"r: a choice of {many} sets for each tile"] = _chosen(bank, lambda c: c.kinds)
        for many in (4, 16):
            bank = hard_em([c.z for c in self.training], self.z, many, self.z_fit)
            found[f"z: a choice of {many} sets for each tile"] = _chosen(bank, lambda c: c.z)
        found["r: classes moved by up to 3, by tile and kind"] = self._shifted
        return found

    def _shifted(self, counts: Counts) -> float:
        saved = -3 * np.log2(len(SHIFTS))
        for kind, symbols in enumerate(counts.kinds):
            table = self.r[kind]
            moved = [table[np.clip(np.arange(SCALES) + shift, 1, SCALES - 1)] for shift in SHIFTS]
            if kind == 2:  # the skip class stays
                for one in moved:
                    one[0] = 0
            saved += (symbols * table).sum() - min((symbols * one).sum() for one in moved)
        return float(saved)


def _fit(counts: Array, base: Array, prior: float) -> Array:
    shares = 2.0**-base
    found = counts + prior * shares / shares.sum(-1, keepdims=True)
    fitted: Array = -np.log2(found / found.sum(-1, keepdims=True))
    return fitted


def _chosen(bank: Sequence[Array], of: Callable[[Counts], Array]) -> Callable[[Counts], float]:
    def saved(counts: Counts) -> float:
        symbols = of(counts)
        return float(
            (symbols * bank[0]).sum() - min((symbols * one).sum() for one in bank) - np.log2(len(bank))
        )

    return saved


def hard_em(
    tiles: Sequence[Array], base: Array, many: int, fit: Callable[[Array, Array], Array]
) -> list[Array]:
    """``many`` sets of tables, the first of them today's: each tile takes the cheapest, each set is fitted to
    the tiles that took it, and so on.
    """
    if len(tiles) < many:
        raise ValueError(f"{many} sets of tables need as many tiles, there are {len(tiles)}")
    start = np.random.default_rng(0).choice(len(tiles), many - 1, replace=False)
    bank = [base, *(fit(tiles[k], base) for k in start)]
    for _ in range(ROUNDS):
        taken = [int(np.argmin([(tile * one).sum() for one in bank])) for tile in tiles]
        groups = [[tile for tile, k in zip(tiles, taken) if k == mine] for mine in range(1, many)]
        bank = [base, *(fit(np.sum(of, axis=0), base) if of else one for of, one in zip(groups, bank[1:]))]
    return bank


def gains(fits: Fits, tiles: Sequence[Counts]) -> dict[str, float]:
    """Mean change in percent of the bits of tiles, by idea."""
    ideas: dict[str, Any] = fits.ideas()
    return {
        name: round(float(np.mean([-100 * saved(tile) / tile.bits for tile in tiles])), 3)
        for name, saved in ideas.items()
    }
