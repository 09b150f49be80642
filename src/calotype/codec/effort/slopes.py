"""What errors are worth, and the slopes of that: ONNX Runtime runs the synthesis forwards and backwards.

The decoder's layers (docs/FORMAT.md) in float32, nothing rounded and nothing clipped but the pixels, in
front of the filter and behind it. In between come the filter that the pack may have, the squared error of
what it shows and, for packs for eyes, SSIMULACRA2 (`look`), and the way back through the filter. All places
keep their kinds on that way; that some change makes true slopes 5 to 9 % steeper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort import look
from calotype.codec.effort.session import run, session
from calotype.codec.effort.tape import Array, Floats, Tape
from calotype.codec.effort.worth import Worth
from calotype.coder import LevelPixels, Restored

PATCH = 4
"""Side of the patches of pixels that the synthesis ends with."""
FRACTION = 32
"""Parts of a grey level that it counts in."""


class Target(NamedTuple):
    """What pixels are to come close to.

    pixels:    [3, H, W]
    worth:     of errors
    reference: what `look` wants to know of them, if it counts
    """

    pixels: Floats
    worth: Worth
    reference: Mapping[str, Any]


class Slopes:
    """``run`` for the synthesis of one pack.

    arrays:  of networks.safetensors
    unit:    what 1 in a latent stands for in y, [M]
    looks:   whether SSIMULACRA2 counts, not squared error alone
    threads: how many threads one call uses
    """

    def __init__(
        self, arrays: Mapping[str, Array], unit: Floats, looks: bool = False, threads: int = 1
    ) -> None:
        self._forwards, self._backwards = (session(half, threads) for half in _synthesis(arrays, unit))
        self._reference = session(look.reference(), threads) if looks else None
        self._look = session(_look(), threads) if looks else None

    def target(self, pixels: NDArray[np.uint8], worth: Worth) -> Target:
        """What `run` is to come close to.

        pixels: [1, H, W, 3], sides multiples of 16
        worth:  of its errors
        """
        planes, reference = np.ascontiguousarray(pixels[0].transpose(2, 0, 1), np.float32), {}
        if self._reference is not None:
            count = planes[0].size
            reference = run(self._reference, {"pixels": planes[None]})
            reference |= {"worth": _scalar(worth.look * count), "part": _scalar(1 / count)}
        return Target(planes, worth, reference)

    def run(self, y_hat: Floats, level: LevelPixels, target: Target) -> tuple[float, Floats]:
        """(what all errors are worth in bits, its derivative by y_hat).

        y_hat:  latents [1, M, h, w] in units of y
        """
        vector = level.vector[None, :, None, None].astype(np.float32)
        kept = run(self._forwards, {"y_hat": y_hat, "vector": vector})
        pixels = kept.pop("pixels").numpy()[0]
        filtered = None if level.restoration is None else Restored(level.restoration, pixels)
        shown = pixels if filtered is None else np.clip(filtered.shown, 0, 255)
        slope = shown - target.pixels
        bits = target.worth.error * float(np.square(slope).sum(dtype=np.float64))
        slope *= np.float32(2 * target.worth.error)
        if self._look is not None:
            more = run(self._look, {"pixels": shown[None], **target.reference})
            bits += float(more["lost"].numpy().item())
            slope += more["slope"].numpy()[0]
        if filtered is not None:
            slope = filtered.back(slope)
        return bits, np.asarray(run(self._backwards, {"by_pixels": slope[None], **kept})["slope"].numpy())


def _scalar(value: float) -> Floats:
    return np.array(value, np.float32)


def _synthesis(arrays: Mapping[str, Array], unit: Floats) -> tuple[bytes, bytes]:
    """ONNX files of both ways: inputs y_hat and vector, outputs pixels [1, 3, H, W] and maps; inputs
    by_pixels, the slope by these, and the maps, output slope.
    """
    tape = Tape()

    def layer(x: str, name: str, parts: int = 1) -> str:
        weight, bias, mul = (arrays[f"synthesis.{name}.{part}"] for part in ("weight", "bias", "mul"))
        factor = mul / (2.0**32 * parts)
        return tape.conv(x, weight * factor[:, None, None, None], bias * factor)

    def bottlenecks(x: str, name: str) -> str:
        k = 0
        while f"synthesis.{name}.{k}.reduce.weight" in arrays:
            t = tape.relu(layer(x, f"{name}.{k}.reduce"))
            t = tape.relu(layer(t, f"{name}.{k}.conv"))
            x = tape.add(x, layer(t, f"{name}.{k}.expand"))
            k += 1
        return x

    x = tape.add(tape.scaled("y_hat", 1 / unit[None, :, None, None]), "vector")
    t = bottlenecks(tape.finer(layer(bottlenecks(x, "blocks16"), "split")), "blocks8")
    u, k = tape.relu(tape.finer(layer(t, "up"))), 0
    while f"synthesis.convs.{k}.weight" in arrays:
        u, k = tape.relu(layer(u, f"convs.{k}")), k + 1
    p = tape.add(tape.finer(layer(t, "patch", FRACTION)), layer(u, "out", FRACTION))
    pixels = tape.finer(tape.clipped(p, 0, 255), PATCH)

    cut = len(tape.nodes)
    slope = tape.back({pixels: "by_pixels"}, "y_hat")
    inputs = {"y_hat": 4, "vector": 4, "by_pixels": 4}
    return tape.halves(cut, inputs, ({"pixels": pixels}, {"slope": slope}))


def _look() -> bytes:
    """An ONNX file: inputs pixels [1, 3, H, W], those of `look`, and worth; outputs lost, in bits, slope."""
    tape = Tape()
    lost, slopes = look.points(tape, "pixels", "worth")
    inputs = {"pixels": 4, "worth": 0, **look.inputs()}
    return tape.file(inputs, {"lost": lost, "slope": tape.back(slopes, "pixels")}, {})
