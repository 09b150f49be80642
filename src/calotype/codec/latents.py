"""The latents of one tile: from y to integers, to bytes, and back to y_hat.

A pack says by which of two models: calotype.codec.phases (the codec's own) or calotype.codec.hyperprior. They
have the same functions.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from calotype.codec import hyperprior, phases
from calotype.codec.networks import SKIP, Floats, Latents, Networks
from calotype.codec.pack import Pack
from calotype.errors import PackError

__all__ = ["SKIP", "Floats", "Latents", "Networks"]


def _model(networks: Networks) -> ModuleType:
    return phases if networks.pack.manifest.latent_model == "phases" else hyperprior


def quantise(networks: Networks, y: Floats) -> Latents:
    """The integers that are coded for y [1, M, h, w]; r is 0 where it is not coded."""
    found: Latents = _model(networks).quantise(networks, y)
    return found


def settled(networks: Networks, latents: Latents) -> Latents:
    """The same integers, after r was changed, with 0 where nothing is coded, and the class of each r."""
    found: Latents = _model(networks).settled(networks, latents)
    return found


def steps(networks: Networks, height: int, width: int) -> Floats:
    """What a decoder multiplies each r by, [1, M, height, width]."""
    found: Floats = _model(networks).steps(networks, height, width)
    return found


def tables(networks: Networks, latents: Latents) -> NDArray[np.int32]:
    """The number of the table that codes each r; the classes must be known."""
    found: NDArray[np.int32] = _model(networks).tables(networks, latents)
    return found


def write(networks: Networks, latents: Latents) -> bytes:
    """The tile's payload, one stream."""
    found: bytes = _model(networks).write(networks, latents)
    return found


def read(networks: Networks, payload: bytes | memoryview, height: int, width: int) -> tuple[Floats, Floats]:
    """(z, r) from the payload of a tile of height x width latents. Raises FormatError when it is damaged."""
    found: tuple[Floats, Floats] = _model(networks).read(networks, payload, height, width)
    return found


def restore(networks: Networks, z: Floats, r: Floats, height: int, width: int) -> Floats:
    """y_hat [1, M, height, width]."""
    found: Floats = _model(networks).restore(networks, z, r, height, width)
    return found


def preview(
    networks: Networks, payload: bytes | memoryview, height: int, width: int, *, cut: bool = False
) -> NDArray[np.uint8]:
    """A tile of height x width latents at an eighth of its size, uint8 [2 height, 2 width, 3], from the first
    part of its payload; with ``cut`` from as much of it as there is, if only for a flat tone.

    Raises FormatError when that is damaged, PackError for packs that have no previews.
    """
    if not has_preview(networks.pack):
        raise PackError(f"pack {networks.pack.path}: its files have no preview; decode the whole picture")
    return phases.preview(networks, payload, height, width, cut=cut)


def has_preview(pack: Pack) -> bool:
    """Whether the files of a pack begin with a preview."""
    return pack.manifest.latent_model == "phases" and pack.has("preview")
