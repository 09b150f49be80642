"""Latents of packs whose probabilities follow from z alone (``latent_model`` "hyperprior"): published ones.

A tile of h x w latents is padded to 4a x 4b, multiples of 4, for the networks. Arrays are float32 with a
leading 1: y, r, y_hat [1, M, 4a, 4b], z [1, Z, a, b]; index is uint8 [1, M, 4a, 4b]. ``scale_index`` gives
the same on every machine, and so decoders read the same integers everywhere; y_hat has rounding noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec.networks import SKIP, Floats, Latents, Networks
from calotype.codec.tiles import pad_to_multiple
from calotype.coder import Decoder, Encoder
from calotype.errors import FormatError, PackError

HYPER = 4  # latents per hyper-latent, each way


def quantise(networks: Networks, y: Floats) -> Latents:
    """The integers that are coded for y [1, M, h, w]; r is 0 where it is not coded."""
    height, width = y.shape[-2:]
    y = pad_to_multiple(y, HYPER)
    z = networks.run("hyper_encoder", y=y)[0]
    index = scale_index(networks, z, height, width)
    r = networks.run("latent_encoder", y=y, z=z, keep=networks.pack.keep.take(index))[0]
    return Latents(z, r, index)


def scale_index(networks: Networks, z: Floats, height: int, width: int) -> NDArray[np.uint8]:
    """The class of every latent: which table codes it. Padding beyond height x width is never coded."""
    index = networks.run("scales", z=z)[0]
    if int(index.max()) >= len(networks.pack.r_tables):
        raise PackError(f"pack {networks.pack.path}: scales.onnx gives a class that has no table")
    index[..., height:, :] = SKIP
    index[..., width:] = SKIP
    return index


def settled(networks: Networks, latents: Latents) -> Latents:
    """As they are: classes do not depend on r."""
    return latents


def steps(networks: Networks, height: int, width: int) -> Floats:
    """What a decoder multiplies each r by, [1, M, height, width]."""
    step = networks.level.feeds["inv_gain"][None, :, None, None]
    return np.broadcast_to(step, (1, step.shape[1], height, width))


def tables(networks: Networks, latents: Latents) -> NDArray[np.int32]:
    """The number of the table that codes each r."""
    assert latents.index is not None
    return latents.index.astype(np.int32)


def write(networks: Networks, latents: Latents) -> bytes:
    """The tile's payload: z, then r, in one stream."""
    pack, encoder = networks.pack, Encoder()
    encoder.put(_symbols(latents.z), _z_index(networks, latents.z.shape), pack.z_tables)
    assert latents.index is not None
    encoder.put(_symbols(latents.r), latents.index.reshape(-1), pack.r_tables, skip=SKIP)
    return encoder.finish()


def read(networks: Networks, payload: bytes | memoryview, height: int, width: int) -> tuple[Floats, Floats]:
    """(z, r) from the payload of a tile of height x width latents. Raises FormatError when it is damaged."""
    fields, decoder = networks.pack.manifest, Decoder(payload)
    shape = (1, fields.hyper_latents, -(-height // HYPER), -(-width // HYPER))
    values = decoder.get(_z_index(networks, shape), networks.pack.z_tables)
    if values.max() > fields.z_limit or values.min() < -fields.z_limit:
        raise FormatError(f"damaged payload: a hyper-latent is outside -{fields.z_limit} to {fields.z_limit}")
    z = values.astype(np.float32).reshape(shape)
    index = scale_index(networks, z, height, width)
    r = decoder.get(index.reshape(-1), networks.pack.r_tables, skip=SKIP)
    decoder.finish()
    return z, r.astype(np.float32).reshape(index.shape)


def restore(networks: Networks, z: Floats, r: Floats, height: int, width: int) -> Floats:
    """y_hat [1, M, height, width]."""
    return networks.run("latent_decoder", z=z, r=r)[0][..., :height, :width]


def _symbols(values: Floats) -> NDArray[np.int32]:
    return values.reshape(-1).astype(np.int32)


def _z_index(networks: Networks, shape: tuple[int, ...]) -> NDArray[np.int32]:
    channels = networks.pack.manifest.hyper_latents
    first = networks.level.anchor * channels
    return np.repeat(np.arange(first, first + channels, dtype=np.int32), shape[2] * shape[3])
