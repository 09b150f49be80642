"""Latents of packs that code from coarse to fine (``latent_model`` "phases"): the codec's own.

Which table codes an integer follows from integers before it; that is native code (calotype.coder.latents) and
exact everywhere. y_hat has rounding noise. Of a tile of h x w latents: y, r, y_hat [1, M, h, w], z [1, Z,
h/2, w/2] rounded up, float32. Networks see them padded to multiples of 8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec.networks import Floats, Latents, Networks
from calotype.codec.tiles import pad_to_multiple
from calotype.coder import LevelIntegers

MULTIPLE = 8
CELL = 2  # latents per hyper-latent, each way
LOW = 16  # channels that are coded first, which a preview needs
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
CLASSES = 64
SKIPPED = 2 * CLASSES
"""The table of high channels whose residuals are 0 and not coded."""


def quantise(networks: Networks, y: Floats) -> Latents:
    """The integers that are coded for y [1, M, h, w]."""
    height, width = y.shape[-2:]
    mask, keep = _inside(height, width), networks.pack.keep
    r, z = networks.run("latent_encoder", y=pad_to_multiple(y, MULTIPLE), inside=mask, keep=keep)
    z = np.ascontiguousarray(z[..., : -(-height // CELL), : -(-width // CELL)])
    return Latents(z, np.ascontiguousarray(r[..., :height, :width]))


def settled(networks: Networks, latents: Latents) -> Latents:
    """The same integers with 0 for those that are not coded, and the class of each."""
    found = networks.pack.coder.classes(integers(networks), *_symbols(latents))
    return Latents(latents.z, found.r[None].astype(np.float32), found.index[None])


def steps(networks: Networks, height: int, width: int) -> Floats:
    """What a decoder multiplies each r by, [1, M, height, width]."""
    low, high = (networks.level.feeds[f"{part}_inv_gain"] for part in ("low", "high"))
    found = np.empty((1, LOW + high.shape[1], height, width), np.float32)
    for finer, step in zip(low[::-1], (1, 2, 4, 8)):  # each coarser grid over the finer one
        found[0, :LOW, ::step, ::step] = finer[:, None, None]
    for phase, (i, j) in enumerate(PHASES):
        found[0, LOW:, i::2, j::2] = high[phase][:, None, None]
    return found


def tables(networks: Networks, latents: Latents) -> NDArray[np.int32]:
    """The number of the table that codes each r."""
    assert latents.index is not None
    return tables_of(latents.index)


def tables_of(index: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The numbers of the tables [..., M, h, w] of classes."""
    found = index.astype(np.int32) + 2 * CLASSES
    found[..., :LOW, :, :] -= CLASSES
    found[..., :LOW, ::MULTIPLE, ::MULTIPLE] -= CLASSES
    return found


def write(networks: Networks, latents: Latents) -> bytes:
    """The tile's payload."""
    return networks.pack.coder.write(integers(networks), *_symbols(latents))


def read(networks: Networks, payload: bytes | memoryview, height: int, width: int) -> tuple[Floats, Floats]:
    """(z, r) from the payload of a tile of height x width latents. Raises FormatError when it is damaged."""
    z, r = networks.pack.coder.read(integers(networks), payload, height, width)
    return z[None].astype(np.float32), r[None].astype(np.float32)


def restore(networks: Networks, z: Floats, r: Floats, height: int, width: int) -> Floats:
    """y_hat [1, M, height, width]."""
    inside = _inside(height, width)
    down, right = inside.shape[-2] - height, inside.shape[-1] - width
    r = np.pad(r, ((0, 0), (0, 0), (0, down), (0, right)))
    down, right = inside.shape[-2] // CELL - z.shape[-2], inside.shape[-1] // CELL - z.shape[-1]
    z = np.pad(z, ((0, 0), (0, 0), (0, down), (0, right)))
    return networks.run("latent_decoder", z=z, r=r, inside=inside)[0][..., :height, :width]


def preview(
    networks: Networks, payload: bytes | memoryview, height: int, width: int, *, cut: bool = False
) -> NDArray[np.uint8]:
    """The tile at an eighth of its size, uint8 [2 height, 2 width, 3], from the first part of its payload.

    ``cut``: the payload may end anywhere; the earlier it does, the coarser the preview, down to a flat tone.
    Raises FormatError when that part is damaged.
    """
    _, r = networks.pack.coder.read(integers(networks), payload, height, width, low_only=True, cut=cut)
    inside = _inside(height, width)
    low = np.zeros((1, LOW, *inside.shape[-2:]), np.float32)
    low[0, :, :height, :width] = r[:LOW]
    pixels = networks.run("preview", r=low, inside=inside)[0][0]
    return np.asarray(pixels[: 2 * height, : 2 * width])


def _inside(height: int, width: int) -> Floats:
    """1 in the tile and 0 in its padding, [1, 1, 8a, 8b]."""
    inside = np.zeros((1, 1, height + -height % MULTIPLE, width + -width % MULTIPLE), np.float32)
    inside[..., :height, :width] = 1
    return inside


def integers(networks: Networks) -> LevelIntegers:
    """What the level sets for the native coder."""
    return LevelIntegers(**networks.level.integers)


def _symbols(latents: Latents) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return latents.z[0].astype(np.int32), latents.r[0].astype(np.int32)
