"""Finding the quality level that meets a target: a file size, or a likeness to the original.

Size and likeness rise with the level, smoothly but for a little noise: log(size) is nearly a straight line in
it, and so is PSNR. The search keeps a bracket and steps to where the line through the two nearest
measurements meets the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from calotype.errors import LimitError

Kind = Literal["size", "bpp", "psnr", "ms_ssim", "ssimulacra2"]

UNITS: dict[Kind, str] = {
    "size": " bytes", "bpp": " bits per pixel", "psnr": " dB PSNR", "ms_ssim": " MS-SSIM",
    "ssimulacra2": " SSIMULACRA2"
}  # fmt: skip

TOLERANCE = 0.01
"""A target is met by a value within 1 % of it; for a size, that is not above it."""

POINTS = 0.5
"""A target of SSIMULACRA2 is met by a value within half a point: the zero of its scale is no natural one."""

CLOSE = 4
"""Levels between which a jump is found."""

NEIGHBOURS = 8
"""How many levels beside the crossing are tried when, by the noise of small files, the crossing does not
fit."""


@dataclass(frozen=True)
class Target:
    """What a file is to reach.

    kind:  "size" (bytes, never above), "bpp" (bits per pixel of the file, never above), "psnr" (dB over R, G,
           B), "ms_ssim" (0 to 1; its 1 % is taken on the scale -10 log10(1 - x)), "ssimulacra2"
           (within half a point)
    value: the figure; above 0, below 1 for ms_ssim, below 100 for ssimulacra2. ValueError otherwise.
    """

    kind: Kind
    value: float

    def __post_init__(self) -> None:
        above = {"ms_ssim": 1.0, "ssimulacra2": 100.0}.get(self.kind, math.inf)
        if not 0 < self.value < above:
            raise ValueError(f"a target of {self.value}{UNITS[self.kind]} is not possible")

    @property
    def limits_size(self) -> bool:
        """Whether the target is an upper limit of the file's size."""
        return self.kind in ("size", "bpp")

    def __str__(self) -> str:
        return f"{self.value:.10g}{UNITS[self.kind]}"

    def accepts(self, value: float) -> bool:
        """Whether a file with this figure meets the target: near enough, and for sizes not above."""
        if self.limits_size:
            return (1 - TOLERANCE) * self.value <= value <= self.value
        return abs(self._scale(value) - self._scale(self.value)) <= self._tolerance

    def is_met(self, value: float) -> bool:
        """Whether there is nothing more to ask for: near enough, or more of a likeness."""
        return self.accepts(value) or (not self.limits_size and self.miss(value) >= 0)

    def is_close(self, value: float) -> bool:
        """Whether it is not worth looking for a better one."""
        if self.limits_size:
            return (1 - TOLERANCE / 2) * self.value <= value <= self.value
        return 0 <= self._scale(value) - self._scale(self.value) <= self._tolerance / 4

    def note(self, value: float) -> str | None:
        """A sentence when a file is more like its original than was asked for; None when it is not."""
        if self.limits_size or self.miss(value) <= 0 or self.accepts(value):
            return None
        return f"the file has {_figure(value)}{UNITS[self.kind]}, and not {self}: this picture comes in jumps"

    def miss(self, value: float) -> float:
        """How far off a figure is, on the scale that is straight in the level; below 0 is too little."""
        return self._straight(value) - self._straight(self.value)

    def _straight(self, value: float) -> float:
        return math.log(value) if self.limits_size else self._scale(value)

    @property
    def _tolerance(self) -> float:
        return POINTS if self.kind == "ssimulacra2" else TOLERANCE * self._scale(self.value)

    def _scale(self, value: float) -> float:
        if self.kind == "ms_ssim":
            return -10 * math.log10(max(1 - value, 1e-10))
        return min(value, 200.0)  # equal pictures have an infinite PSNR


def search(
    measure: Callable[[int], float],
    target: Target,
    highest: int,
    *,
    steep: bool = False,
    start: int | None = None,
) -> int:
    """The level, 0 to `highest`, whose measured figure meets the target.

    `measure` is called once per level tried, commonly four times. Among levels that meet the target any may
    be returned. A size that no level comes near to is met by the largest below it. Raises LimitError that
    says what can be reached when none does.

    steep: figures may jump from one level to the next, so the nearest that meets the target will do, and a
           jump is not looked for more closely than to `CLOSE` levels
    start: the level to begin with
    """
    known: dict[int, float] = {}

    def value(level: int) -> float:
        if level not in known:
            known[level] = measure(level)
        return known[level]

    low, high = -1, highest + 1  # too little below or at low, enough at or above high
    level = highest // 2 if start is None else start
    while True:
        figure = value(level)
        if target.is_close(figure):
            return level
        if target.miss(figure) < 0:
            low = level
        else:
            high = level
        if high - low <= 1 or (steep and low >= 0 and high <= highest and high - low <= CLOSE):
            break
        level = _next(target, known, low, high, highest)
    good = [level for level in known if target.accepts(known[level])]
    if not good and not steep and low >= 0 and high <= highest:
        around = range(max(0, low - NEIGHBOURS), min(highest, high + NEIGHBOURS) + 1)
        near = sorted(around, key=lambda level: abs(level - low))
        good = [level for level in near if target.accepts(value(level))]
    if not good and (steep or (target.limits_size and high <= highest)):
        side = 1 if target.limits_size else -1
        good = [level for level in known if side * target.miss(known[level]) <= 0]
    if good:
        return min(good, key=lambda level: abs(target.miss(known[level])))
    raise LimitError(_refusal(target, value, low, highest, known))


def _next(target: Target, known: dict[int, float], low: int, high: int, highest: int) -> int:
    """A level strictly between low and high, where the line through the nearest figures meets the target."""
    slope = 3.0 / highest  # what log(size) rises by over all levels, more or less
    if not target.limits_size:
        slope = (80.0 if target.kind == "ssimulacra2" else 20.0) / highest
    nearest = sorted(known, key=lambda level: abs(target.miss(known[level])))[:2]
    if len(nearest) == 2:
        (x0, y0), (x1, y1) = ((level, target.miss(known[level])) for level in nearest)
        if (y1 - y0) / (x1 - x0) > slope / 10:
            slope = (y1 - y0) / (x1 - x0)
    x, y = nearest[0], target.miss(known[nearest[0]])
    aim = -TOLERANCE / 4 if target.limits_size else 0.0
    guess = round(x + (aim - y) / slope)
    if len(known) > 8:  # noise has led the line astray: halve
        guess = (low + high) // 2
    return min(max(guess, low + 1), high - 1)


def _refusal(
    target: Target, value: Callable[[int], float], low: int, highest: int, known: dict[int, float]
) -> str:
    least, most = value(0), value(highest)
    unit = UNITS[target.kind]
    if target.miss(least) > 0:
        return f"cannot reach {target}: the lowest quality already has {_figure(least)}{unit}"
    if target.miss(most) < 0:
        return f"cannot reach {target}: the highest quality has {_figure(most)}{unit}"
    nearest = min((n for n in known if target.miss(known[n]) <= 0), key=lambda n: -target.miss(known[n]))
    return (
        f"cannot reach {target} closely enough: the nearest below is {_figure(known[nearest])}{unit} "
        f"(the qualities 0 to 95 give {_figure(least)} to {_figure(most)})"
    )


def _figure(value: float) -> str:
    return f"{value:.6g}" if value < 1e5 else f"{value:.0f}"
