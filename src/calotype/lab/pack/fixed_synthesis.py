"""The synthesis in fixed point: `fixed` has the layers, docs/FORMAT.md what decoders do with them.

::

    y_hat + vector (words, 1/16) --bottlenecks--> split to 1/8 (words) --bottlenecks--> t
    pixels = patch(t) + render(t), in 1/32 of a grey level; render in bytes, at 1/4

The streams are words, with a unit for each channel; what bottlenecks and renderer hide are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab.models.calotype_transforms import SynthesisTransform, folded
from calotype.lab.pack.calibrate import Array, bias, samples, unshuffled, weight
from calotype.lab.pack.fixed import Layer, bytes_, finest, quantised, words
from calotype.lab.pack.fixed_blocks import Block, Seen, byte_units, hidden_units, stream_units
from calotype.lab.pack.restoration import FRACTION, restored


class FixedSynthesis:
    """Made from the float network, calibrated on the latents (vector included) ``[N, M, h, w]`` of pictures.

    extremes: latents of pictures of pure colours and hard edges, which words have to hold as well
    unit:     what 1 stands for in the latents ``[M]``; by default chosen on what they are
    hidden:   what 1 stands for in the bytes of each hidden layer, by the name of its branch, where training
              rounded to them; by default chosen

    ``unit16``, ``unit8``: what 1 stands for in the latents ``[M]`` and in the stream at 1/8; ``hidden``: as
    given, or as chosen.
    """

    def __init__(
        self,
        net: SynthesisTransform,
        x: Tensor,
        extremes: Tensor,
        unit: Array | None = None,
        hidden: Mapping[str, Sequence[Array]] | None = None,
    ) -> None:
        net = folded(net)
        none = torch.zeros(1, x.shape[1], 1, 1)
        seen, far = Seen(net, x, none), Seen(net, extremes, none)
        blocks16 = list(net.blocks16)
        self.hidden: dict[str, tuple[Array, ...]] = {}
        bytes16, bytes8 = (
            [
                hidden_units(block, seen, None if hidden is None else hidden[f"{name}.{k}"])
                for k, block in enumerate(blocks)
            ]
            for name, blocks in (("blocks16", blocks16), ("blocks8", net.blocks8))
        )
        for name, found in (("blocks16", bytes16), ("blocks8", bytes8)):
            self.hidden |= {f"{name}.{k}": both for k, both in enumerate(found)}
        unit16 = unit
        if unit16 is None:
            unit16 = stream_units(
                [run.into(block) for block in blocks16 for run in (seen, far)]
                + [run.of(blocks16[-1]) for run in (seen, far)],
                [
                    finest(weight(block.expand), hidden[1])
                    for block, hidden in zip(blocks16, bytes16, strict=True)
                ],
            )
        self.unit16 = unit16
        self.unit8 = unit8 = stream_units(
            [F.pixel_shuffle(run.of(net.split), 2) for run in (seen, far)]
            + [run.of(block) for block in net.blocks8 for run in (seen, far)],
            [
                finest(weight(block.expand), hidden[1])
                for block, hidden in zip(net.blocks8, bytes8, strict=True)
            ],
        )
        self.blocks16 = [
            Block(block, seen, unit16, hidden) for block, hidden in zip(blocks16, bytes16, strict=True)
        ]
        w, b = unshuffled(net.split, 2)
        mean = samples(seen.into(net.split)).mean(0)
        self.split = quantised(w[:, :, None], b, unit16, np.tile(unit8, 4), "words", mean)
        self.blocks8 = [
            Block(block, seen, unit8, hidden) for block, hidden in zip(net.blocks8, bytes8, strict=True)
        ]

        pixel = np.full(192, 1 / (255 * FRACTION))
        w, b = (quarters(values) for values in unshuffled(net.patch, 8))
        mean = samples(seen.into(net.patch)).mean(0)
        self.patch = quantised(w[:, :, None], b + 0.5, unit8, pixel, "words", mean)

        render = net.render
        w_out, b_out = unshuffled(render.out, 4)
        layers = [*map(weight, render.convs), w_out[:, :, None]]
        with torch.no_grad():
            first = F.relu(F.pixel_shuffle(render.up(seen.into(net.patch)), 2))
        inputs = [samples(first), *(samples(F.relu(seen.of(conv))) for conv in render.convs)]
        made: list[Array] = []
        for k, (x_k, reader) in enumerate(zip(inputs, layers, strict=True)):
            least = finest(layers[k - 1], made[k - 1]) if k else 0.0
            made.append(
                byte_units(x_k, reader, least) if hidden is None else np.maximum(hidden["render"][k], least)
            )
        self.hidden["render"] = tuple(made)
        w, b = unshuffled(render.up, 2)
        self.up = quantised(w[:, :, None], b, unit8, np.tile(made[0], 4), "words", mean)
        self.convs = [
            quantised(weight(conv), bias(conv), made[k], made[k + 1], "bytes", inputs[k].mean(0))
            for k, conv in enumerate(render.convs)
        ]
        self.out = quantised(layers[-1], b_out, made[-1], pixel[:48], "bytes", inputs[-1].mean(0))

    def layers(self) -> dict[str, Layer]:
        """All layers by name."""
        found = {"split": self.split, "patch": self.patch, "up": self.up, "out": self.out}
        found |= {f"convs.{k}": layer for k, layer in enumerate(self.convs)}
        for name, blocks in (("blocks16", self.blocks16), ("blocks8", self.blocks8)):
            for k, block in enumerate(blocks):
                found |= {f"{name}.{k}.{part}": layer for part, layer in block.layers().items()}
        return found

    def __call__(self, y: Tensor, taps: Array | None = None) -> Tensor:
        """Words ``[1, M, h, w]``, vector included, to pixels ``[1, 3, 16h, 16w]``, 0..255; all float64.

        taps: the level's, of the restoration filter, if there is one
        """
        for block in self.blocks16:
            y = block(y)
        t = _shuffled(words(self.split(y)), 2)
        for block in self.blocks8:
            t = block(t)
        r = bytes_(_shuffled(self.up(t), 2))
        for conv in self.convs:
            r = bytes_(conv(r))
        fine = _shuffled(words(_shuffled(words(self.patch(t)), 2) + self.out(r)), 4)
        if taps is not None:
            pixels = restored(fine[0].permute(1, 2, 0).numpy().astype(np.int32), taps)
            return torch.from_numpy(pixels).double().permute(2, 0, 1)[None]
        return torch.floor((fine + FRACTION / 2) / FRACTION).clamp(0, 255)


def _shuffled(x: Tensor, side: int) -> Tensor:
    """Outputs ``[1, (row column channel), h, w]`` to ``[1, channel, side * h, side * w]``."""
    x = x.unflatten(1, (side * side, -1)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, side)


def quarters(values: Array) -> Array:
    """Rows ``[(row column colour), ...]`` of patches of 8x8 pixels, in the order of four of 4x4."""
    order = np.arange(192).reshape(2, 4, 2, 4, 3).transpose(0, 2, 1, 3, 4)
    return np.asarray(values[order.ravel()])
