"""The parser: hyper-latents z and residuals r of a tile to bytes and back.

Every integer is coded with a table that integer networks choose from the integers before it: z from coarse to
fine, then the low channels of r from coarse to fine, then its other channels in four phases (the order is in
``native/parse.hpp``).  All arithmetic is on integers, so encoder and decoder agree on every machine.

    coder = LatentCoder(arrays, z_tables, r_tables)
    classes = coder.classes(level, z, r)
    data = coder.write(level, z, classes.r)
    z, r = coder.read(level, data, h, w)

One coder may be used by several threads; the work is done without the GIL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calotype.coder.native import load
from calotype.coder.networks import DecoderNetworks, LevelSteps, Wish, Words
from calotype.coder.stream import Bytes, _checked
from calotype.coder.tables import TableSet
from calotype.errors import FormatError

if TYPE_CHECKING:
    import calotype._rans as _rans

NETWORKS = ("hyper.", "scales.")
"""What the names of the networks' arrays begin with."""
CLASSES = 64
"""Tables of each kind of residual; 0 of the high channels is the class that is not coded."""
Z_TABLES = 64
"""Tables of hyper-latents: 16 scales, each at 4 places between two integers."""
BASE, LOW, HIGH = 0, 1, 2
"""Kinds of residuals: low channels that nothing is known before, other low channels, high channels."""


@dataclass(frozen=True)
class LevelIntegers:
    """What a quality level sets: integer arrays, in 2^-8 of what they are added to unless said otherwise."""

    z_mul: ArrayLike
    """[K] steps of the hyper-latents in 1/256 of 1/16 log unit, 1 .. 65535."""
    z_place: ArrayLike
    """[7, K] offsets of the locations of z, by stage, within +-2^22 as all that follow."""
    z_scale: ArrayLike
    """[7, K] offsets of the scale classes of z, by stage."""
    low_bias: ArrayLike
    """[10, L] offsets of the classes of the low channels, by stage."""
    high_bias: ArrayLike
    """[4, M - L] offsets of the classes of the high channels, by phase."""

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        found = []
        for name, dims in (("z_mul", 1), ("z_place", 2), ("z_scale", 2), ("low_bias", 2), ("high_bias", 2)):
            found.append(_integers(name, getattr(self, name), dims))
        return tuple(found)


@dataclass(frozen=True)
class Classes:
    """What `LatentCoder.classes` finds."""

    z_table: NDArray[np.uint8]
    """[K, ceil(h/2), ceil(w/2)] tables of z: 4 times the scale, plus the place in quarters."""
    z_shift: NDArray[np.int32]
    """Same shape: what is coded is ``z - z_shift``."""
    index: NDArray[np.uint8]
    """[M, h, w] classes of r, 0 .. 63; the table is ``64 * kind + class``."""
    r: NDArray[np.int32]
    """[M, h, w] the residuals with 0 wherever the class is 0: what a decoder will see."""
    second: NDArray[np.uint8]
    """[M, h, w] 1 where a residual is of the second quantiser: its table is 192 further."""


class LatentCoder:
    """The networks and tables of a pack, ready to code tiles of any level. Immutable."""

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        z_tables: TableSet,
        r_tables: TableSet,
        *,
        kernel: str | None = None,
    ) -> None:
        """Check and pack the networks.

        ``arrays``: by name, integer ``hyper.*`` and ``scales.*``, weights [out, in, k, k] that fit int16 and
        biases [out] that fit int32; other names are left alone.
        ``z_tables``: 64 tables; ``r_tables``: 384, 64 of each kind for the first quantiser, then those for
        the second.
        ``kernel``: one of `kernels`, for tests; the fastest if not given. All compute the same.
        Raises ValueError for an array that is missing, unknown or does not fit the others, and for weights
        with which a sum could reach 2^24.
        """
        weights, biases = {}, {}
        for name, array in arrays.items():
            if name.startswith(NETWORKS):
                if name.endswith(".bias"):
                    biases[name] = _integers(name, array, 1)
                else:
                    weights[name] = _integers(name, array, 4, np.int16)
        native = load()
        self._error: type[Exception] = native.StreamError
        self._native: _rans.Latents = native.Latents(
            weights, biases, z_tables.native, r_tables.native, kernel or ""
        )

    @property
    def channels(self) -> int:
        """M: channels of r."""
        return self._native.channels

    @property
    def low_channels(self) -> int:
        """L: channels of r that come first."""
        return self._native.low_channels

    @property
    def hyper_channels(self) -> int:
        """K: channels of z."""
        return self._native.hyper_channels

    def write(self, level: LevelIntegers, z: ArrayLike, r: ArrayLike) -> bytes:
        """Code a tile of h x w latents, 1 .. 4096 each: z [K, ceil(h/2), ceil(w/2)], r [M, h, w], integers.

        Raises ValueError for arrays of other shapes, for ``|z| > 1023`` or ``|r| > 32767``, and for an r that
        is not 0 where its class is 0; `classes` gives one that is.
        """
        return self._native.write(level._arrays(), _integers("z", z, 3), _integers("r", r, 3))

    def read(
        self,
        level: LevelIntegers,
        data: Bytes,
        h: int,
        w: int,
        *,
        low_only: bool = False,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return z and r of the tile that `write` coded, int32.

        ``low_only``: stop after the low channels, for a preview; r is [L, h, w], and what follows is not
        checked.
        Raises FormatError for damaged data, ValueError for a size out of range.
        """
        limit = load().MAX_SIDE
        if not (1 <= h <= limit and 1 <= w <= limit):
            raise ValueError(f"a tile has 1 to {limit} rows and columns of latents, not {h} and {w}")
        z = np.zeros((self.hyper_channels, (h + 1) // 2, (w + 1) // 2), np.int32)
        r = np.zeros((self.low_channels if low_only else self.channels, h, w), np.int32)
        stream = np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)
        try:
            self._native.read(level._arrays(), stream, z, r)
        except self._error as error:
            raise FormatError(str(error)) from None
        return z, r

    def choose(
        self,
        level: LevelIntegers,
        networks: DecoderNetworks,
        steps: LevelSteps,
        wish: Wish,
        y: NDArray[np.float32],
        z: NDArray[np.int32],
        zone: NDArray[np.uint8] | None = None,
        y_hat: Words | None = None,
        threads: int = 1,
        worth: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.int32], bytes]:
        """Return an encoder's residuals r [M, h, w] for latents y [M, h, w], given z, and what `write` makes
        of both, for little more time.

        Those of a stage are chosen together, so that bits and errors are least: a squared half step is
        worth 6 bits, or in the zones [h, w] of `calotype.codec.masking` less or more, or ``worth``
        [M, h, w] bits. y_hat [h, w, M] takes the latents that a decoder will have, and nothing is written
        then. No more than two ``threads`` are used, for the same result. Raises ValueError for arrays of
        other shapes and for zones that there are not.
        """
        r = np.zeros(y.shape, np.int32)
        chosen = (wish.unit, wish.low_gain, wish.high_gain, wish.half_step)
        if zone is None:
            zone = np.full(y.shape[1:], load().MASKING_PLAIN, np.uint8)
        grids = (steps.low, steps.high)
        data = self._native.choose(
            level._arrays(), networks.native, grids, chosen, zone, y, z.copy(), r, y_hat, threads > 1, worth
        )
        return r, data

    def classes(self, level: LevelIntegers, z: ArrayLike, r: ArrayLike) -> Classes:
        """Return the tables of every integer of a tile, and r with 0 forced, in coding order, wherever the
        class is 0. Arguments and errors as for `write`, but any r within its limits will do.
        """
        whole = _integers("z", z, 3)
        settled = _integers("r", r, 3).copy()
        z_table, z_shift = np.zeros(whole.shape, np.uint8), np.zeros(whole.shape, np.int32)
        index, second = np.zeros(settled.shape, np.uint8), np.zeros(settled.shape, np.uint8)
        self._native.look(level._arrays(), whole.copy(), settled, z_table, z_shift, index, second)
        return Classes(z_table, z_shift, index, settled, second)


def kernels() -> list[str]:
    """Names of the kernels that this machine can run, the fastest first."""
    return list(load().KERNELS)


def _integers(name: str, array: ArrayLike, dims: int, dtype: type[np.generic] = np.int32) -> NDArray[Any]:
    """Return ``array`` in ``dtype`` and C order. Raises ValueError if it does not fit or has not ``dims``
    dimensions.
    """
    a = np.asarray(array)
    if a.ndim != dims:
        raise ValueError(f"{name} must have {dims} dimensions, not {a.ndim}")
    try:
        return np.require(_checked(a, dtype), requirements=["C", "A"])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
