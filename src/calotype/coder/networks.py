"""The networks that lead from a tile's integers to its pixels, and those of an encoder: in integers, and so
the same everywhere.

    networks = DecoderNetworks(arrays)
    y = networks.restore(steps, z, r)          # latents, words
    pixels = networks.synthesis(level, y)      # of any window of them

    networks = EncoderNetworks(arrays)
    y = networks.analysis(pixels)              # of any window of them
    z = networks.hyper(y, gain, z_mul, limit)

What a decoder computes is in docs/FORMAT.md; ``native/`` has the code.  One object may be used by several
threads; the work is done without the GIL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load

if TYPE_CHECKING:
    import calotype._rans as _rans

Words = NDArray[np.int16]


@dataclass(frozen=True)
class LevelSteps:
    """What a quality level sets of them, int32."""

    low: NDArray[np.int32]
    """[4, L] steps of the low channels, for base and octaves 2, 1, 0, in 1/4096 of a latent's unit."""
    high: NDArray[np.int32]
    """[4, M - L] those of the high channels, by phase."""
    z_mul: NDArray[np.int32]
    """[K] steps of the hyper-latents in 1/256 of 1/16 log unit."""


@dataclass(frozen=True)
class LevelPixels:
    """What a quality level sets of the synthesis."""

    vector: NDArray[np.int32]
    """[M] what is added to the latents."""
    restoration: NDArray[np.int16] | None
    """[144, 20] taps of the filter behind it, in 1/32768, if the pack has one."""


@dataclass(frozen=True)
class Wish:
    """What an encoder chooses residuals by; float32."""

    unit: NDArray[np.float32]
    """[M] what 1 stands for in a latent."""
    low_gain: NDArray[np.float32]
    """[4, L] what y - mean is multiplied by, as `LevelSteps.low`."""
    high_gain: NDArray[np.float32]
    """[4, M - L]"""
    half_step: float
    """What a residual counts, in what a gain brings latents to."""


class DecoderNetworks:
    """The means of latents, the synthesis and the preview of a pack, ready for any level. Immutable."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], *, kernel: str | None = None) -> None:
        """Check and pack the layers: weights [out, in, k, k] int8 or int16, biases and multipliers [out]
        int32.

        ``kernel``: one of `kernels`, for tests; the fastest if not given. All compute the same.
        Raises ValueError for an array that is missing, unknown or does not fit the others, and for weights
        with which a sum could reach 2^31.
        """
        whole = {name: np.require(array, requirements=["C", "A"]) for name, array in arrays.items()}
        self.native: _rans.Networks = load().Networks(whole, kernel or "")

    @property
    def channels(self) -> int:
        """M: channels of the latents."""
        return self.native.channels

    def restore(self, steps: LevelSteps, z: NDArray[np.int32], r: NDArray[Any]) -> Words:
        """Latents [h, w, M] of a tile from z [K, ceil(h/2), ceil(w/2)] and r [M, h, w], int32; r may be
        float32, for a search between integers. Raises ValueError for arrays of other shapes.
        """
        y = np.empty((r.shape[1], r.shape[2], self.channels), np.int16)
        self.native.restore((steps.low, steps.high), steps.z_mul, z, r, y)
        return y

    def synthesis(self, level: LevelPixels, y: Words) -> NDArray[np.uint8]:
        """Pixels [16h, 16w, 3] of latents [h, w, M]. Raises ValueError for arrays of other shapes, and for
        taps with which a sum could leave 16 bits.
        """
        pixels = np.empty((16 * y.shape[0], 16 * y.shape[1], 3), np.uint8)
        self.native.synthesis(level.vector, level.restoration, y, pixels)
        return pixels

    def preview(self, steps: LevelSteps, r: NDArray[np.int32]) -> NDArray[np.uint8]:
        """A tile at an eighth of its size, [2h, 2w, 3], from the low channels of r, [L, h, w]."""
        pixels = np.empty((2 * r.shape[1], 2 * r.shape[2], 3), np.uint8)
        self.native.preview((steps.low, steps.high), r, pixels)
        return pixels


class Restored:
    """Pixels through the filter behind a synthesis, in floats: for an encoder's search.

    For the kinds of places that these pixels have, what is shown is linear in them; nothing is rounded, or
    held within 0 to 255.
    """

    def __init__(self, taps: NDArray[np.int16], pixels: NDArray[np.float32]) -> None:
        """taps as `LevelPixels.restoration`; pixels [3, H, W], 0 to 255, even sides."""
        self._taps, height, width = taps, pixels.shape[1], pixels.shape[2]
        self._kinds = np.empty((height // 2, width // 2), np.uint8)
        self.shown = np.empty((3, height, width), np.float32)
        load().shown(taps, pixels, self._kinds, self.shown)

    def back(self, slopes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Slopes by the pixels [3, H, W], of those by what is shown."""
        found = np.empty_like(self.shown)
        load().shown_back(self._taps, slopes, self._kinds, found)
        return found


class EncoderNetworks:
    """The analysis and the hyper-analysis of a pack. Immutable."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], *, kernel: str | None = None) -> None:
        """As `DecoderNetworks`; besides its layers ``unit``, float32 [M]: what 1 stands for in a latent.

        Raises ValueError in the same cases, and for units that are not above 0.
        """
        layers = {name: np.require(array, requirements=["C", "A"]) for name, array in arrays.items()}
        unit = layers.pop("unit", None)
        self.native: _rans.EncoderNetworks = load().EncoderNetworks(layers, kernel or "")
        if unit is None or unit.dtype != np.float32 or unit.shape != (self.channels,):
            raise ValueError(f"unit: must be float32 of shape {self.channels}")
        if not (np.isfinite(unit).all() and (unit > 0).all()):
            raise ValueError("unit: must be above 0")
        self.unit = unit

    @property
    def channels(self) -> int:
        """M: channels of the latents."""
        return self.native.channels

    @property
    def hyper_channels(self) -> int:
        """K: channels of the hyper-latents."""
        return self.native.hyper_channels

    def analysis(self, pixels: NDArray[np.uint8], threads: int = 1) -> NDArray[np.float32]:
        """Latents [M, h, w] of pixels [16h, 16w, 3]; beyond them the network sees zeros.

        threads: how many may be used, here and in `hyper`; no more than two are, and it changes no result
        """
        y = np.empty((self.channels, pixels.shape[0] // 16, pixels.shape[1] // 16), np.float32)
        self.native.analysis(np.ascontiguousarray(pixels), self.unit, y, threads > 1)
        return y

    def hyper(
        self,
        y: NDArray[np.float32],
        gain: NDArray[np.float32],
        z_mul: NDArray[np.int32],
        limit: int,
        threads: int = 1,
    ) -> NDArray[np.int32]:
        """Hyper-latents [K, ceil(h/2), ceil(w/2)] within +-limit, of latents [M, h, w].

        gain:  [M] what latents are multiplied by before they are rounded, on the finest grid
        z_mul: [K] as in `LevelSteps`
        """
        shape = (self.hyper_channels, -(-y.shape[1] // 2), -(-y.shape[2] // 2))
        z = np.empty(shape, np.int32)
        self.native.hyper(y, self.unit, gain, z_mul, limit, z, threads > 1)
        return z
