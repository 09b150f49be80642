"""``encode --model`` and ``decode`` of laboratory files: pictures through a checkpoint, with torch.

Everything of a picture but its pixels (alpha, ICC, EXIF, XMP) goes into the container and comes out again as
with a pack.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from calotype import api, bitstream
from calotype.bitstream import Box, Header
from calotype.codec.image import Picture
from calotype.codec.pixels import read_alpha, write_alpha
from calotype.codec.threads import default_threads
from calotype.errors import CalotypeError, FormatError, ImageError, LimitError

if TYPE_CHECKING:
    from calotype.api import Region

NEEDS = ("torch", "safetensors")

_one_at_a_time = threading.Lock()
"""Models are large, and torch uses all cores for one picture."""


def require(reason: str) -> None:
    """Raise CalotypeError, which begins with ``reason``, when the laboratory is not installed."""
    if missing := [module for module in NEEDS if find_spec(module) is None]:
        raise CalotypeError(f"{reason}, which needs {missing[0]}: pip install 'calotype[lab]'")


def encode(picture: Picture, checkpoint: str, max_pixels: int | None, iterations: int | None = None) -> bytes:
    """The file of a picture; ``iterations``: how many, of systems that work in such. Raises CalotypeError."""
    require("--model codes with a checkpoint of the laboratory")
    limits = api.limits(max_pixels)
    if picture.width * picture.height > limits.max_pixels:
        raise LimitError(f"{picture.width} x {picture.height} pixels are more than {limits.max_pixels}")
    from calotype.lab import use  # late: brings torch

    if iterations is not None:
        _check_iterations(checkpoint, iterations)
    with _one_at_a_time:
        _use_all_cores()
        return use.encode(
            picture.pixels,
            checkpoint,
            parts=iterations,
            grey=picture.grey,
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
            alpha=write_alpha(picture.alpha, Header(picture.width, picture.height, 0, bytes(4), lab=True)),
        )


def _check_iterations(checkpoint: str, iterations: int) -> None:
    """Raises CheckpointError where the checkpoint does not work in iterations, or not in so many."""
    from calotype.lab import registry, use
    from calotype.lab.checkpoint import CheckpointError, read_info
    from calotype.lab.models.base import LabModel

    info = read_info(use.checkpoint_file(checkpoint))
    model = registry.entry(info.name).model
    if not (issubclass(model, LabModel) and model.progressive):
        raise CheckpointError(
            f"{checkpoint}: {info.name} does not work in iterations, and has the rate it was trained for; "
            "leave --iterations out"
        )
    if iterations > (most := info.config["iterations"]):
        raise CheckpointError(f"{checkpoint}: the checkpoint has 1 to {most} iterations, not {iterations}")


def decode(
    data: bytes,
    folders: list[str],
    region: Region | None,
    max_pixels: int | None,
    max_metadata: int | None = None,
) -> Picture:
    """The picture, or a region of it (left, top, right, bottom), of a laboratory file; where that is cut off,
    its notes say how much of it is shown.

    Raises FormatError, LimitError, CheckpointError; ImageError for a region outside the picture.
    """
    limits = api.limits(max_pixels, max_metadata)
    try:
        file = bitstream.parse(data, limits=limits)
    except FormatError:  # cut off: some models have a use for what there is, as they will say
        file = bitstream.parse(data, limits=limits, damaged="prefix")
        if file.cut is None:
            raise
    header = file.header
    require(f"the file was written by laboratory model {header.pack_id.hex()}")
    box = Box(0, 0, header.width, header.height) if region is None else Box(*region)
    if not (0 <= box.left < box.right <= header.width and 0 <= box.top < box.bottom <= header.height):
        raise ImageError(f"region {tuple(box)} is not inside the picture, {header.width} x {header.height}")
    from calotype.lab import use  # late: brings torch
    from calotype.lab.entropy.sections import split

    plain = data
    if file.cut is None:  # metadata may be beyond the limits that a model goes by
        plain = bitstream.write(header, file.tiles)
    with _one_at_a_time:
        _use_all_cores()
        codec = use.find(plain, folders)
        pixels = codec.decode(plain)
    notes: tuple[str, ...] = ()
    if file.cut is not None:
        parts = f"{len(split(file.tiles[file.cut], cut=True))} of at most {len(codec.qualities)} parts"
        notes = (f"the file is cut off; {parts} are whole and shown, and no checksum vouches for them",)
    pixels = pixels[box.top : box.bottom, box.left : box.right]
    if header.grey:
        grey = (pixels.sum(axis=2, dtype=np.uint16, keepdims=True) + 1) // 3
        pixels = np.repeat(grey.astype(np.uint8), 3, axis=2)
    pixels = np.ascontiguousarray(pixels)
    picture = Picture(pixels, header.grey, None, file.icc, file.exif, file.xmp, notes)
    if file.alpha is None:
        return picture
    return replace(picture, alpha=read_alpha(file.alpha, header, box))


def _use_all_cores() -> None:
    import torch

    torch.set_num_threads(default_threads())
