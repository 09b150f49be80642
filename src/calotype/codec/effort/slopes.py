"""The synthesis run forwards and backwards by ONNX Runtime: what errors are worth, and the slopes of that.

The decoder's layers (docs/FORMAT.md) in float32, nothing rounded and nothing clipped but the pixels. Behind
them come the squared error against a target, for packs for eyes also SSIMULACRA2 (`look`), and, in reverse
order, the derivative of every operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort import look
from calotype.codec.effort.session import run, session
from calotype.codec.effort.tape import Array, Floats, Tape
from calotype.codec.effort.worth import Worth

PATCH = 4
"""Side of the patches of pixels that the synthesis ends with."""
FRACTION = 32
"""Parts of a grey level that it counts in."""

Target = dict[str, Any]


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
        self._session: Any = session(_graph(arrays, unit, looks), threads)
        self._reference: Any = session(look.reference(), threads) if looks else None

    def target(self, pixels: NDArray[np.uint8], worth: Worth) -> Target:
        """What `run` is to come close to.

        pixels: [1, H, W, 3], sides multiples of 16
        worth:  of its errors
        """
        found = {"target": _layout(pixels), "error_worth": _scalar(worth.error)}
        if self._reference is not None:
            count = pixels.shape[1] * pixels.shape[2]
            names = [output.name for output in self._reference.get_outputs()]
            planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
            found |= zip(names, self._reference.run(names, {"pixels": planes}))
            found |= {"look_worth": _scalar(worth.look * count), "part": _scalar(1 / count)}
        return found

    def run(self, y_hat: Floats, vector: NDArray[np.int32], target: Target) -> tuple[float, Floats]:
        """(what all errors are worth in bits, its derivative by y_hat).

        y_hat:  latents [1, M, h, w] in units of y
        vector: the level's, [M], in units of latents
        """
        feeds = {"y_hat": y_hat, "vector": vector[None, :, None, None].astype(np.float32), **target}
        bits, slope = run(self._session, feeds)
        return float(bits), np.asarray(slope)


def _scalar(value: float) -> Floats:
    return np.array(value, np.float32)


def _layout(pixels: NDArray[np.uint8]) -> Floats:
    """Pixels [1, H, W, 3] as the synthesis has them, patches [1, (row column colour), H / 4, W / 4]."""
    _, height, width, _ = pixels.shape
    parts = pixels.reshape(1, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    patches = parts.transpose(0, 2, 4, 5, 1, 3).reshape(1, -1, height // PATCH, width // PATCH)
    return np.ascontiguousarray(patches, np.float32)


def _graph(arrays: Mapping[str, Array], unit: Floats, looks: bool) -> bytes:
    """Inputs y_hat, vector and those of a target; outputs bits and slope, as an ONNX file."""
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

    pixels = tape.clipped(p, 0, 255)
    difference = tape.apply("Sub", pixels, "target")
    bits = tape.apply("Mul", tape.apply("ReduceSumSquare", difference, keepdims=0), "error_worth")
    twice = tape.apply("Mul", "error_worth", tape.constant(2))
    slopes = {pixels: tape.apply("Mul", difference, twice)}
    inputs = {"y_hat": 4, "vector": 4, "target": 4, "error_worth": 0}
    if looks:
        lost, more = look.points(tape, tape.finer(pixels, PATCH), "look_worth")
        bits = tape.apply("Add", bits, tape.apply("ReduceSum", lost, keepdims=0))
        slopes |= more
        inputs |= {"look_worth": 0, **look.inputs()}
    return tape.file(inputs, {"bits": bits, "slope": tape.back(slopes, "y_hat")}, {"bits": 0})
