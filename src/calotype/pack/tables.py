"""The arrays of a pack's ``tables.safetensors``: their types and shapes (docs/FORMAT.md, *Packs*)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.coder.latents import CLASSES, Z_TABLES
from calotype.pack import STEPS
from calotype.pack.levels import OCTAVES, RESTORATION

Arrays = Mapping[str, NDArray[Any]]

LOW = 16
"""Channels of the coarse picture: they are coded first, and a preview needs no others."""
LOW_STEPS, LOW_STAGES, PHASES, Z_STAGES = 4, 10, 4, 7
KINDS, QUANTISERS = 3, 2
"""Sets of tables: of residuals without a neighbour, of other low channels, of high channels; each for two."""
FILTERS, LUMA, TAPS = 144, 12, 20
"""Classes of places that the restoration filter has taps for, how many move luma, and how many there are."""
REACH = np.repeat([16320, 32640, 16320], [LUMA, 6, 2])
"""Largest magnitude of what a tap weighs: of luma, of a colour, and of luma for a colour."""
_ROOM = 32767 - 32
"""What sums may reach with the taps of a trained level: those between two are rounded."""

_EXACT = 1 << 24  # integers of at most this size are exact in float32


def check(arrays: Arrays, *, latents: int, hyper_latents: int, levels: int) -> None:
    """Raises ValueError or KeyError for an array that breaks the contract, given the manifest's numbers."""
    if latents <= LOW:
        raise ValueError(f"latents must be more than {LOW}, are {latents}")
    for name, dtype, shape in _level_tables(latents, hyper_latents):
        table = arrays[name]
        _expect(name, table, dtype, (levels, *shape))
        if dtype == "f8" and not (np.isfinite(table).all() and (table > 0).all()):
            raise ValueError(f"{name} has values that are not above 0")
        if "log_step" in name and not ((table >= 0) & (table < OCTAVES << 16)).all():
            raise ValueError(f"{name} is not within 0 to {OCTAVES} octaves")
        if dtype == "i4" and np.abs(table.astype(np.int64)).max() > _EXACT:
            raise ValueError(f"{name} has values that float32 does not hold")
    if RESTORATION in arrays:
        taps = arrays[RESTORATION]
        _expect(RESTORATION, taps, "i2", (levels, FILTERS, TAPS))
        reach = (np.abs(taps.astype(np.int64)) * REACH >> 15) + 1
        if max(reach[..., :LUMA].sum(-1).max(), reach[..., LUMA:].sum(-1).max()) > _ROOM:
            raise ValueError(f"{RESTORATION} has sums that could leave 16 bits")
    m, z = latents, hyper_latents
    unit, cases = arrays["unit"], arrays["golden_level"].shape
    _expect("unit", unit, "f4", (m,))
    if not (np.isfinite(unit).all() and (unit > 0).all()):
        raise ValueError("unit has values that are not above 0")
    _, _, a, b = arrays["golden_z"].shape
    coarse, fine = (*cases, z, a, b), (*cases, m, 2 * a, 2 * b)
    golden = [("level", "i4", cases), ("z", "i4", coarse), ("r", "i2", fine), ("index", "u1", fine)]
    golden += [("z_table", "u1", coarse), ("z_shift", "i4", coarse)]
    golden += [("pixels", "u1", (*cases, 32 * a, 32 * b, 3)), ("preview", "u1", (*cases, 4 * a, 4 * b, 3))]
    for name, dtype, whole in golden:
        _expect(f"golden_{name}", arrays[f"golden_{name}"], dtype, whole)
    top = STEPS * (levels - 1)
    if not all(0 <= level <= top for level in arrays["golden_level"].flat):
        raise ValueError(f"golden_level is not within 0 to {top}")


def half_step(arrays: Arrays, r_tables: int, z_tables: int) -> float:
    """What a residual counts, in steps. Raises ValueError where it, or a number of tables, breaks the
    contract.
    """
    if z_tables != Z_TABLES:
        raise ValueError(f"{z_tables} tables for z; {Z_TABLES} are needed")
    wanted = QUANTISERS * KINDS * CLASSES
    if r_tables != wanted:
        raise ValueError(f"{r_tables} tables for r; {wanted} are needed, half of them for each quantiser")
    found = arrays["half_step"]
    if found.dtype != np.float32 or found.shape != (1,) or not 0 < found[0] <= 1:
        raise ValueError("half_step must be one float32 above 0, and 1 at most")
    return float(found[0])


def _level_tables(m: int, z: int) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    yield "low_gain", "f8", (LOW_STEPS, LOW)
    yield "high_gain", "f8", (PHASES, m - LOW)
    yield "low_log_step", "i4", (LOW_STEPS, LOW)
    yield "high_log_step", "i4", (PHASES, m - LOW)
    yield "level_vector", "i4", (m,)
    yield "z_mul", "i4", (z,)
    yield "low_bias", "i4", (LOW_STAGES, LOW)
    yield "high_bias", "i4", (PHASES, m - LOW)
    yield "z_place", "i4", (Z_STAGES, z)
    yield "z_scale", "i4", (Z_STAGES, z)


def _expect(name: str, table: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> None:
    if table.dtype != np.dtype(dtype) or table.shape != shape or not table.size:
        raise ValueError(f"{name} is {table.dtype} {list(table.shape)}, not {dtype} {list(shape)}")
