"""The arrays of a pack's ``tables.safetensors``: their types and shapes (calotype.codec.pack)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.manifest import Manifest

Arrays = Mapping[str, NDArray[Any]]

LOW, LOW_STEPS, LOW_STAGES, PHASES, Z_STAGES = 16, 4, 10, 4, 7
CLASSES, KINDS, Z_TABLES = 64, 3, 64

_EXACT = 1 << 24  # integers of at most this size are exact in float32


def check(fields: Manifest, arrays: Arrays) -> None:
    """Raises ValueError or KeyError for an array that breaks the contract."""
    for name, dtype, shape in _level_tables(fields, arrays):
        table = arrays[name]
        _expect(name, table, dtype, (fields.levels, *shape))
        if dtype == "f8" and not (np.isfinite(table).all() and (table > 0).all()):
            raise ValueError(f"{name} has values that are not above 0")
        if dtype == "i4" and np.abs(table.astype(np.int64)).max() > _EXACT:
            raise ValueError(f"{name} has values that float32 does not hold")
    cases = arrays["golden_level"].shape
    _, _, a, b = arrays["golden_z"].shape
    m, z = fields.latents, fields.hyper_latents
    ratio = 2 if fields.latent_model == "phases" else 4
    fine = (*cases, m, ratio * a, ratio * b)
    golden = [("golden_level", "i4", cases), ("golden_z", "i4", (*cases, z, a, b))]
    golden += [("golden_index", "u1", fine)]
    if fields.latent_model == "phases":
        golden += [("golden_r", "i2", fine), ("golden_z_table", "u1", (*cases, z, a, b))]
        golden += [("golden_z_shift", "i4", (*cases, z, a, b))]
    for name, dtype, whole in golden:
        _expect(name, arrays[name], dtype, whole)


def keep(fields: Manifest, arrays: Arrays, r_tables: int, z_tables: int) -> NDArray[np.float32]:
    """The table `keep`, by class. Raises ValueError where it, or a number of tables, breaks the contract."""
    phases = fields.latent_model == "phases"
    wanted = Z_TABLES if phases else fields.levels * fields.hyper_latents
    if z_tables != wanted:
        raise ValueError(f"{z_tables} tables for z; {wanted} are needed")
    if r_tables != KINDS * CLASSES if phases else not 1 <= r_tables <= 256:
        needed = f"{KINDS * CLASSES} are needed" if phases else "1 to 256 are possible"
        raise ValueError(f"{r_tables} tables for r; {needed}")
    classes = CLASSES if phases else r_tables
    found = arrays.get("keep", np.arange(classes, dtype=np.float32).clip(0, 1))
    if found.dtype != np.float32 or found.shape != (classes,) or found[0] != 0:
        raise ValueError(f"keep must be float32, {classes} long and start with 0")
    return found


def _level_tables(fields: Manifest, arrays: Arrays) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    m, z = fields.latents, fields.hyper_latents
    yield "level_vector", "f4", (arrays["level_vector"].shape[-1],)
    yield "z_mul", "i4", (z,)
    if fields.latent_model == "phases":
        if m <= LOW:
            raise ValueError(f"latents must be more than {LOW}, are {m}")
        for name in ("gain", "inv_gain"):
            yield f"low_{name}", "f8", (LOW_STEPS, LOW)
            yield f"high_{name}", "f8", (PHASES, m - LOW)
        yield "low_bias", "i4", (LOW_STAGES, LOW)
        yield "high_bias", "i4", (PHASES, m - LOW)
        yield "z_place", "i4", (Z_STAGES, z)
        yield "z_scale", "i4", (Z_STAGES, z)
        return
    yield "gain", "f8", (m,)
    yield "inv_gain", "f8", (m,)
    yield "z_gain", "f8", (z,)
    yield "bias", "i4", (m,)


def _expect(name: str, table: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> None:
    if table.dtype != np.dtype(dtype) or table.shape != shape or not table.size:
        raise ValueError(f"{name} is {table.dtype} {list(table.shape)}, not {dtype} {list(shape)}")
