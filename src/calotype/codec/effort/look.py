"""SSIMULACRA2 on a tape: how far pictures look from their originals, and the slopes of that.

What it is: `calotype.ssimulacra2`. Here it is that of one tile; beyond all borders is 0.
"""

from __future__ import annotations

import numpy as np

from calotype.codec.effort.tape import Floats, Tape
from calotype.codec.metrics import gaussian_window
from calotype.ssimulacra2 import (
    ABSORBANCE,
    BIAS,
    DISTORTION,
    GAIN,
    OFFSETS,
    POWER,
    RADIUS,
    SCALES,
    SIGMA,
    X_GAIN,
    B,
    C,
    X,
    Y,
)

_WINDOW = gaussian_window(2 * RADIUS + 1, SIGMA).astype(np.float32)
_SMALLEST_NORM = 1e-7
_SMALLEST_DISTORTION = 1e-4
"""From here on norms and distortions count: at 0 they have no slope."""

KEPT = ("plane", "mean", "spread", "strong")
"""Of an original at each scale: X, Y, B; their local means; their local variances plus C; 1 and how far they
are from their means."""


def reference() -> bytes:
    """Input pixels [1, 3, H, W]; outputs what `points` wants to know of an original, KEPT at each scale."""
    tape = Tape()
    outputs: dict[str, str] = {}
    for scale, plane in enumerate(_planes(tape, "pixels")):
        n = len(SCALES[scale])
        mean = tape.blur(plane, n, _WINDOW)
        spread = tape.sub(tape.blur(tape.square(plane), n, _WINDOW), tape.square(mean))
        strong = tape.raised(tape.abs(tape.sub(plane, mean)), 1)
        found = plane, mean, tape.raised(spread, C), strong
        outputs |= {f"{name}{scale}": one for name, one in zip(KEPT, found)}
    return tape.file({"pixels": 4}, outputs, {})


def inputs() -> dict[str, int]:
    """Names and dimensions of what `reference` gives, and of ``part``: 1 / (pixels of one colour)."""
    return {f"{name}{scale}": 4 for scale in range(len(SCALES)) for name in KEPT} | {"part": 0}


def points(tape: Tape, pixels: str, worth: str) -> tuple[str, dict[str, str]]:
    """What the points that pixels [1, 3, H, W] lack are worth, and the slopes of that at some maps."""
    norms, terms = [], []
    for scale, plane in enumerate(_planes(tape, pixels)):
        weights = np.array([SCALES[scale][channel] for channel in SCALES[scale]], np.float32)
        maps = _maps(tape, plane, scale)
        for k, values in enumerate(maps):
            if not weights[:, 2 * k : 2 * k + 2].any():
                continue
            above = tape.relu(values)
            w, w4 = (tape.constant(weights[:, 2 * k + j].reshape(1, -1, 1, 1)) for j in range(2))
            mean = tape.apply("ReduceMean", above, axes=[2, 3])
            cube = tape.apply("Mul", tape.apply("Mul", above, above), above)
            fourth = tape.apply("ReduceMean", tape.apply("Mul", cube, above), axes=[2, 3])
            fourth = tape.apply("Max", fourth, tape.constant(_SMALLEST_NORM**4))
            root = tape.apply("Sqrt", tape.apply("Sqrt", fourth))
            norm = tape.apply("Add", tape.apply("Mul", mean, w), tape.apply("Mul", root, w4))
            norms.append(tape.apply("ReduceSum", norm))
            # By each value: w / n for the mean, w4 / n (value / norm)^3 for the 4-norm.
            sharp = tape.apply("Div", tape.apply("Mul", root, w4), fourth)
            slope = tape.apply("Add", tape.apply("Mul", cube, sharp), w)
            terms.append((above, slope, tape.apply("Mul", "part", tape.constant(4.0**scale))))
    total = tape.apply("Mul", tape.total(norms), tape.constant(GAIN))
    _, a, b, c = (tape.constant(factor) for factor in DISTORTION)

    def horner(*factors: str) -> str:
        found = factors[-1]
        for factor in factors[-2::-1]:
            found = tape.apply("Add", tape.apply("Mul", found, total), factor)
        return found

    distortion = tape.apply("Mul", horner(a, b, c), total)
    rise = horner(a, tape.constant(2 * DISTORTION[2]), tape.constant(3 * DISTORTION[3]))
    distortion = tape.apply("Max", distortion, tape.constant(_SMALLEST_DISTORTION))
    lost = tape.apply("Pow", distortion, tape.constant(POWER))
    lost = tape.apply("Mul", tape.apply("Mul", lost, tape.constant(10)), worth)
    steep = tape.apply("Mul", tape.apply("Div", lost, distortion), tape.constant(POWER * GAIN))
    steep = tape.apply("Mul", steep, rise)
    return lost, {
        above: tape.apply("Mul", slope, tape.apply("Mul", steep, part)) for above, slope, part in terms
    }


def _maps(tape: Tape, plane: str, scale: int) -> list[str]:
    """Structure, artefacts and lost detail of X, Y, B at a scale."""
    reference, reference_mean, reference_spread, strong = (f"{name}{scale}" for name in KEPT)
    n = len(SCALES[scale])
    error = tape.sub(plane, reference)
    mean_error = tape.blur(error, n, _WINDOW)
    mean = tape.add(mean_error, reference_mean)
    # var1 + var2 - 2 cov is the variance of the difference, which float32 resolves when it is small.
    square = tape.square(mean_error)
    spread = tape.sub(tape.blur(tape.square(error), n, _WINDOW), square)
    both = tape.sub(tape.blur(tape.square(plane), n, _WINDOW), tape.square(mean))
    spread = tape.div(spread, tape.add(both, reference_spread))
    structure = tape.sub(tape.add(square, spread), tape.mul(square, spread))
    deviation = tape.raised(tape.abs(tape.sub(plane, mean)), 1)
    artefacts = tape.raised(tape.div(deviation, strong), -1)
    return [structure, artefacts, tape.scaled(artefacts, -1)]


def _planes(tape: Tape, pixels: str) -> list[str]:
    """Of pixels [1, 3, H, W], 0 to 255, at each scale those of X, Y, B that count, made positive."""
    codes = tape.scaled(pixels, 1 / 255)
    bright = tape.apply("Sign", tape.apply("Relu", tape.apply("Sub", codes, tape.constant(0.04045))))
    line = tape.scaled(codes, 1 / 12.92)
    curve = tape.power(tape.scaled(tape.raised(tape.relu(codes), 0.055), 1 / 1.055), 2.4)
    linear = tape.add(line, tape.mul(bright, tape.sub(curve, line)))
    absorbed, bias = np.array(ABSORBANCE)[..., None, None], np.full(3, BIAS)
    mean = _column(np.tile(np.eye(3), 4) / 4)
    found = []
    for scale, weights in enumerate(SCALES):
        if scale:
            linear = tape.conv(tape.coarser(linear), mean, np.zeros(3))
        cones = tape.power(tape.conv(linear, absorbed, bias), 1 / 3)
        rows, offsets = zip(*(_OPPOSED[channel] for channel in weights))
        found.append(tape.conv(cones, _column(np.array(rows)), np.array(offsets)))
    return found


def _column(matrix: np.ndarray) -> Floats:
    return matrix[..., None, None].astype(np.float32)


_ROOT = BIAS ** (1 / 3)
_OPPOSED = {
    X: ((0.5 * X_GAIN, -0.5 * X_GAIN, 0.0), OFFSETS[X]),
    Y: ((0.5, 0.5, 0.0), OFFSETS[Y] - _ROOT),
    B: ((-0.5, -0.5, 1.0), OFFSETS[B]),
}
"""Of the cube roots of the three cones' light: factors and what is added."""
