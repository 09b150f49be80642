"""The latents of one tile: from y to integers, to bytes, and back to y_hat.

Which table codes an integer follows from integers before it, and so does the mean of each latent; both are
native code (calotype.coder) and the same everywhere. Of a tile of h x w latents: y [1, M, h, w], float32;
r [1, M, h, w] and z [1, Z, h/2, w/2] rounded up, int32; y_hat [h, w, M], words in the pack's units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec import focus, masking
from calotype.codec.networks import SKIP, Floats, Latents, Networks
from calotype.coder import Wish
from calotype.coder.latents import CLASSES
from calotype.coder.networks import Words
from calotype.coder.trellis import numbers
from calotype.pack.levels import STEP
from calotype.pack.tables import LOW

__all__ = ["SKIP", "Floats", "Latents", "Networks", "Words", "numbers"]

MULTIPLE = 8
CELL = 2  # latents per hyper-latent, each way
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
SKIPPED = 2 * CLASSES
"""The table of high channels whose residuals are 0 and not coded."""
SECOND = 3 * CLASSES
"""The tables of the second quantiser are so much further."""


def quantise(
    networks: Networks,
    y: Floats,
    thin: tuple[bool, bool] = (False, False),
    part: NDArray[np.uint8] | None = None,
) -> Latents:
    """The integers that are coded for y [1, M, h, w]; r is 0 where it is not coded.

    thin: whether few of the pixels under the last row, and under the last column, are in the picture
    part: how much more errors count at each place, [h, w] (`focus`)
    """
    z, r, payload = _choose(networks, y, thin, part)
    return Latents(z[None], r[None], payload=payload)


def shown(networks: Networks, y: Floats) -> Words:
    """y_hat [h, w, M] of the integers that `quantise` makes of y [1, M, h, w]."""
    y_hat = np.empty((*y.shape[-2:], y.shape[1]), np.int16)
    _choose(networks, y, y_hat=y_hat)
    return y_hat


def _choose(
    networks: Networks,
    y: Floats,
    thin: tuple[bool, bool] = (False, False),
    part: NDArray[np.uint8] | None = None,
    y_hat: Words | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], bytes]:
    pack, level = networks.pack, networks.level
    wish = Wish(pack.unit, level.gains["low_gain"], level.gains["high_gain"], pack.half_step)
    finest = np.concatenate((wish.low_gain[-1], wish.high_gain[-1]))
    looks = pack.manifest.visual is not None
    zone = masking.zones(y[0], pack.visual_measures.step) if looks else masking.plain(*y.shape[-2:])
    if part is not None:
        zone = focus.nearer(zone, part)
    if thin[0]:
        zone[-1] = 0
    if thin[1]:
        zone[:, -1] = 0
    whole = np.ascontiguousarray(y[0])
    threads = networks.threads
    z = pack.encoder.hyper(whole, finest, level.steps.z_mul, pack.manifest.z_limit, threads)
    r, payload = pack.coder.choose(
        level.parser, pack.decoder, level.steps, wish, whole, z, zone, y_hat, threads
    )
    return z, r, payload


def planned(networks: Networks, z: NDArray[np.int32], y: Floats, worth: Floats) -> Latents:
    """Hyper-latents z [Z, a, b] and residuals that bring latents near y [1, M, h, w], for few bits.

    worth: of a squared half step, in bits, as y
    """
    pack, steps, unit = networks.pack, networks.level.steps, networks.pack.unit * np.float32(STEP)
    low, high = (pack.half_step / (a * b) for a, b in ((steps.low, unit[:LOW]), (steps.high, unit[LOW:])))
    wish = Wish(pack.unit, np.float32(low), np.float32(high), pack.half_step)
    r, payload = pack.coder.choose(
        networks.level.parser, pack.decoder, steps, wish, y[0], z, threads=networks.threads, worth=worth[0]
    )
    return Latents(z[None], r[None], payload=payload)


def settled(networks: Networks, latents: Latents) -> Latents:
    """The same integers, after r was changed, with 0 where nothing is coded, and the class of each r."""
    found = networks.pack.coder.classes(networks.level.parser, *_integers(latents))
    return Latents(latents.z, found.r[None], found.index[None])


def steps(networks: Networks, height: int, width: int) -> Floats:
    """What a decoder multiplies each r by, [1, M, height, width], in units of y."""
    found = np.empty((1, len(networks.pack.unit), height, width), np.float32)
    low, high = networks.level.steps.low, networks.level.steps.high
    for finer, step in zip(low[::-1], (1, 2, 4, 8)):  # each coarser grid over the finer one
        found[0, :LOW, ::step, ::step] = finer[:, None, None]
    for phase, (i, j) in enumerate(PHASES):
        found[0, LOW:, i::2, j::2] = high[phase][:, None, None]
    found *= networks.pack.unit[:, None, None] * np.float32(STEP)
    return found


def tables(latents: Latents) -> NDArray[np.int32]:
    """The number of the table that codes each r; the classes must be known."""
    assert latents.index is not None
    return tables_of(latents.index)


def tables_of(index: NDArray[np.uint8], second: NDArray[np.uint8] | None = None) -> NDArray[np.int32]:
    """The numbers of the tables [..., M, h, w] of classes; second: of which quantiser residuals are, by
    default the first.
    """
    found = index.astype(np.int32) + 2 * CLASSES
    found[..., :LOW, :, :] -= CLASSES
    found[..., :LOW, ::MULTIPLE, ::MULTIPLE] -= CLASSES
    return found if second is None else found + SECOND * second


def write(networks: Networks, latents: Latents) -> bytes:
    """The tile's payload, one stream."""
    if latents.payload is not None:  # as the choice of the integers found it
        return latents.payload
    return networks.pack.coder.write(networks.level.parser, *_integers(latents))


def read(
    networks: Networks, payload: bytes | memoryview, height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """z [Z, a, b] and r [M, h, w], int32, from the payload of a tile of height x width latents. Raises
    FormatError when it is damaged.
    """
    return networks.pack.coder.read(networks.level.parser, payload, height, width)


def restore(networks: Networks, z: NDArray[np.int32], r: NDArray[np.int32]) -> Words:
    """y_hat [h, w, M] from what `read` gives."""
    return networks.pack.decoder.restore(networks.level.steps, z, r)


def restored(networks: Networks, latents: Latents) -> Words:
    """y_hat [h, w, M] of an encoder's integers; r may lie between integers."""
    r = np.ascontiguousarray(latents.r[0])
    return networks.pack.decoder.restore(networks.level.steps, latents.z[0], r)


def _integers(latents: Latents) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return latents.z[0], latents.r[0].astype(np.int32, copy=False)
