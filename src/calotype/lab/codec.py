"""Real files from laboratory models: the project's container and rANS coder around a model's walk.

    codec = ModelCodec(model)
    data = codec.encode(image)         # uint8 [H, W, 3]
    image = codec.decode(data)

Everything that a probability depends on runs in float64 on a copy of the model, so that a file survives a
change of machine in practice; the product's codec guarantees it (docs/FORMAT.md, "Lab files").
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calotype.bitstream import File, Header, parse, write
from calotype.bitstream.fields import varint
from calotype.errors import FormatError
from calotype.lab.entropy.coders import FileDecoder, FileEncoder
from calotype.lab.entropy.factorized import FactorizedPrior
from calotype.lab.entropy.sections import split
from calotype.lab.layers.quick_conv import quicken
from calotype.lab.models.base import LabModel, as_tuple

FORMAT = torch.channels_last  # a quarter faster on CPUs


def exact(model: LabModel) -> LabModel:
    """A copy for coding: shares the parts that only touch pixels, holds the others in float64, where wide
    convolutions take fewer products than their sums have terms.
    """
    memo: dict[int, Any] = {}
    for name in model.encoder_only:
        part = getattr(model, name, None)
        if part is not None:
            memo[id(part)] = part
    shared = {id(p) for part in list(memo.values()) for p in [*part.parameters(), *part.buffers()]}
    for p in [*model.parameters(), *model.buffers()]:
        if id(p) in shared or not p.is_floating_point():
            memo[id(p)] = p
        elif isinstance(p, nn.Parameter):
            memo[id(p)] = nn.Parameter(p.detach().double(), requires_grad=False)
        else:
            memo[id(p)] = p.detach().double()
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        if isinstance(module, FactorizedPrior):
            module.frozen = True
    quicken(twin)
    return twin


def model_id(model: LabModel) -> bytes:
    """4 bytes: the start of a SHA-256 over configuration and weights."""
    digest = hashlib.sha256(json.dumps([type(model).__name__, model.config], sort_keys=True).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(
            value.detach().cpu().flatten().view(torch.uint8).numpy().tobytes() if value.ndim else b""
        )
    return digest.digest()[:4]


def parse_cut(data: bytes) -> File:
    """A file, or the beginning of one that ends within its latents (`File.cut`).

    Raises:
        FormatError: for any other damage.
    """
    try:
        return parse(data)
    except FormatError:
        file = parse(data, damaged="prefix")
        if file.cut is None:
            raise
        return file


def part_ends(data: bytes) -> list[int]:
    """How many bytes of a progressive file hold its first part, its first two, ...

    Raises:
        FormatError: for damage, or a file that is not progressive.
    """
    file = parse(data)
    payload = file.tiles[0]
    begin, ends = file.chunks[-1].offset + 1 + len(varint(len(payload))), list[int]()
    for part in split(payload):
        begin += len(varint(len(part))) + len(part)
        ends.append(begin)
    return ends


class ModelCodec:
    """A model as a codec.  Holds a snapshot: weights changed afterwards are not seen."""

    def __init__(self, model: LabModel) -> None:
        self.model = exact(model)
        self.training = model.training
        self.id = model_id(model)
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def compress(self, x: Tensor, *, grey: bool = False, parts: int | None = None, **more: Any) -> bytes:
        """Write one picture ``[1, 3, H, W]`` in 0..1.

        grey: to be noted in the header; parts: of a progressive model's file, from 1 on, by default all;
        more: ``icc``, ``exif``, ``xmp``, ``alpha`` for the container.

        Raises:
            ValueError: for a batch, pixels that are not RGB, or parts that the model does not have.
        """
        if parts is not None and not (self.model.progressive and parts >= 1):
            why = "a file has at least one part" if self.model.progressive else "the model has no parts"
            raise ValueError(f"parts={parts}: {why}")
        if x.ndim != 4 or x.shape[:2] != (1, 3):
            raise ValueError(f"one RGB picture [1, 3, H, W] makes one file, got shape {tuple(x.shape)}")
        height, width = x.shape[2:]
        padded = self.model.pad(x.to(self.device, torch.float32)).contiguous(memory_format=FORMAT)
        coder = FileEncoder(*padded.shape[2:], parts=parts)
        self.model.walk(coder, self.model.analyse(padded))
        header = Header(width, height, 0, self.id, grey=grey, lab=True)
        return write(header, [coder.finish()], **more)

    @torch.inference_mode()
    def decompress(self, data: bytes) -> Tensor:
        """Pixels ``[1, 3, H, W]`` in 0..1.  A progressive model's file may end anywhere after its first part.

        Raises:
            FormatError: for a damaged file, a file of the product, or one of another model.
        """
        file = parse_cut(data) if self.model.progressive else parse(data)
        header = file.header
        if not header.lab:
            raise FormatError("not a laboratory file; calotype decode reads it without a checkpoint")
        if header.pack_id != self.id:
            raise FormatError(
                f"the file was written by model {header.pack_id.hex()}, this is {self.id.hex()}"
            )
        m = self.model.multiple
        height, width = header.height + -header.height % m, header.width + -header.width % m
        coder = FileDecoder(file.tiles[0], height, width, cut=file.cut is not None)
        known = as_tuple(self.model.walk(coder))
        coder.finish()
        maps = [t.float().contiguous(memory_format=FORMAT) for t in known]
        pixels = self.model.synthesise(*maps)[:, :, : header.height, : header.width]
        return pixels.clamp(0, 1).clone()

    def encode(self, image: np.ndarray, **more: Any) -> bytes:
        """Write an image, uint8 ``[H, W, 3]`` (or ``[H, W]``, taken as grey); ``more`` as in `compress`."""
        if image.ndim == 2:
            image, more = np.repeat(image[:, :, None], 3, 2), {"grey": True, **more}
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image is uint8 [H, W, 3], got {image.dtype} {image.shape}")
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]  # Pillow's arrays are read-only
        return self.compress(pixels / 255.0, **more)

    def decode(self, data: bytes) -> np.ndarray:
        """Pixels uint8 ``[H, W, 3]``."""
        x = self.decompress(data)[0]
        return (x * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
