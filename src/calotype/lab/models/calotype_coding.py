"""From y to integers and back: the latent networks along the walk, in training and as a file holds them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.integer import round_through
from calotype.lab.models.calotype_config import Config
from calotype.lab.models.calotype_latents import (
    CELL,
    LOG_STEP,
    SCALE_MIN,
    Z_FRACTIONS,
    Z_LOG_STEP,
    Z_SCALE_MIN,
    Z_UNIT,
    HyperAnalysis,
    HyperModel,
    Mean,
    Scales,
    dequantise,
    magnitude,
    quarters,
)
from calotype.lab.models.calotype_levels import (
    Knobs,
    frugal_round,
    gaussian_bits,
    logistic_bits,
    rate_tables,
    shrinkage,
    steps_of,
    training_rate,
)
from calotype.lab.models.calotype_walk import (
    BASE,
    HIGH,
    HIGH_OCTAVES,
    HYPER_OCTAVES,
    LOW,
    LOW_OCTAVES,
    MULTIPLE,
    OTHER_LOW,
    Stage,
    join_phases,
    split_phases,
    stages,
    walk,
)


class Plan(Protocol):
    """Chooses residuals in the place of rounding (`calotype.lab.pack.trellis`)."""

    half_step: float

    def __call__(self, kind: int, residual: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals in half steps, the numbers that they are coded as, and their bits; all of one shape.

        residual: what they should be, in steps; index: their classes, 0 where nothing is coded
        """


class CodedLatents:
    """What one pass gives; maps are those of the padded tile, bits are estimates.

    Maps that training does not need are put together when they are asked for.
    """

    def __init__(
        self, y_hat: Tensor, z: Tensor, z_bits: Tensor, z_index: Tensor, z_shift: Tensor, low: Maps,
        high: Maps, size: tuple[int, int],
    ) -> None:  # fmt: skip
        self.size = size
        """Rows and columns of latents that are the tile, not its padding."""
        self.y_hat = y_hat
        """``[B, M, H, W]``; 0 in the padding."""
        self.z = z
        """Hyper-latents ``[B, K, H/2, W/2]``, integers; 0 in the padding, as all that follows."""
        self.z_bits = z_bits
        """Bits of each hyper-latent."""
        self.z_index = z_index
        """Tables of z: 4 times the scale class, plus the location's fraction in quarters."""
        self.z_shift = z_shift
        """Location's whole part: ``z - z_shift`` is what is coded."""
        self._low, self._high = low, high

    def _map(self, name: str) -> Tensor:
        low, high = _whole(self._low[name], LOW_OCTAVES), _whole(self._high[name], HIGH_OCTAVES)
        return torch.cat((low, high), 1)

    @property
    def r(self) -> Tensor:
        """Residuals ``[B, M, H, W]``, integers."""
        return self._map("r")

    @property
    def index(self) -> Tensor:
        """Classes of r; 0 is skipped."""
        return self._map("index")

    @property
    def residual(self) -> Tensor:
        """``(y - mean) * gain`` before rounding; without meaning in the padding."""
        return self._map("residual")

    @property
    def r_bits(self) -> Tensor:
        """Bits of each residual."""
        return self._map("bits")

    @property
    def bits(self) -> Tensor:
        """Bits of the residuals and of the hyper-latents, summed per picture: ``[2, B]``."""
        parts = [*self._low["bits"], *self._high["bits"]]
        r = torch.stack([t.sum((1, 2, 3)) for t in parts]).sum(0)
        return torch.stack((r, self.z_bits.sum((1, 2, 3))))


Maps = dict[str, list[Tensor]]
"""By name, the values of each stage in coding order."""


class LatentNetworks(nn.Module):
    """All latent networks, and the one walk that training, export and analysis share."""

    shrink: Tensor
    rate_bits: Tensor
    rate_slopes: Tensor

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.hyper, self.hyper_model = HyperAnalysis(c), HyperModel()
        self.scales, self.mean = Scales(c), Mean(c)
        self.register_buffer("shrink", shrinkage(), persistent=False)
        for name, table in zip(("rate_bits", "rate_slopes"), rate_tables(), strict=True):
            self.register_buffer(name, table, persistent=False)

    def forward(
        self,
        y: Tensor,
        k: Knobs,
        *,
        size: tuple[int, int] | None = None,
        inside: Tensor | None = None,
        hard: bool = False,
        generator: torch.Generator | None = None,
        plan: Plan | None = None,
    ) -> CodedLatents:
        """``y`` ``[B, M, H, W]``, H and W multiples of 8, of which ``size`` (h, w) are the tile and the rest
        is padding; ``inside`` ``[B, 1, H, W]`` is 1 in the tile, for tiles that differ in size.

        ``hard=False``: rate on noisy residuals (``generator`` drives the noise), reconstruction on rounded
        ones (mixed quantisation, Minnen and Singh 2020).
        ``hard=True``: both on residuals rounded boldly (`frugal_round`) with the skip class
        forced to zero.  In training the analysis keeps the slope of the noisy rate.
        ``plan``: what chooses residuals in the place of rounding, outside of training: with ``hard`` exactly
        what a file holds.
        """
        rows, columns = y.shape[2:]
        h, w = size or (rows, columns)
        if inside is None:
            inside = torch.zeros(1, 1, rows, columns, dtype=y.dtype, device=y.device)
            inside[..., :h, :w] = 1
        z, z_bits, z_index, z_shift, d = self._hyper(y, k, inside, hard, generator)
        side = self.scales.side(d)
        names = ("r", "index", "residual", "bits")
        maps: Maps = {name: [] for name in names}

        def note(*found: Tensor) -> None:
            for name, t in zip(names, found, strict=True):
                maps[name].append(t)

        def code(
            kind: int, y: Tensor, mean: Tensor, index: Tensor, gain: Tensor, inv: Tensor, real: Tensor
        ) -> Tensor:
            residual = (y - mean) * gain
            index = index * real
            coded = index.detach() > 0.5
            if plan is not None:
                r, number, bits = plan(kind, residual, index)
                note(r, index, residual, bits)
                return torch.cat(((mean + r * plan.half_step * inv) * real, number), 1)
            if hard:
                shrink = self.shrink[index.detach().long()]
                r = frugal_round(residual, shrink) * coded
            else:
                r = round_through(residual) * real
            if hard and self.training:
                tables = self.rate_bits, self.rate_slopes
                bits = training_rate(residual, index, r.detach(), _noise(residual, generator), tables) * real
            else:
                sigma = SCALE_MIN * torch.exp(index * LOG_STEP)
                v = r if hard else residual + _noise(residual, generator)
                bits = gaussian_bits(v, sigma) * (coded if hard else real)
            note(r, index, residual, bits)
            # The padding gives no context, as beyond any other border.
            return torch.cat(((mean + r * inv) * real, r), 1)

        def low(stage: Stage, known: list[Tensor]) -> Tensor:
            part, s = stage.pick(y[:, :LOW]), steps_of(stage)
            mean = self.mean.low_stage(stage, [t[:, :LOW] for t in known], part)
            sizes = [magnitude(t[:, LOW:]) for t in known]
            index = self.scales.low_stage(stage, sizes, side, k.low_bias[:, stage.number])
            gains = k.low_gain[:, s], k.low_inv_gain[:, s]
            kind = BASE if stage.number == 0 else OTHER_LOW
            return code(kind, part, mean, index, *gains, stage.pick(inside))

        low_hat, low_r = walk(LOW_OCTAVES, low).chunk(2, 1)
        low_maps, maps = maps, {name: [] for name in names}
        low_parts = split_phases(low_hat)
        context = [self.scales.high_context([magnitude(t) for t in split_phases(low_r)])]
        features = [self.mean.features(d / Z_UNIT)]

        def high(stage: Stage, known: list[Tensor]) -> Tensor:
            p = stage.phase
            if p:
                y_hat, r = known[-1].chunk(2, 1)
                features.append(self.mean.reduce[p - 1](torch.cat((low_parts[p - 1], y_hat), 1)))
                context.append(self.scales.reduced(p - 1, magnitude(r)))
            mean = self.mean.high_stage(p, features, low_parts)
            index = self.scales.high_stage(p, context, side, k.high_bias[:, p])
            gains = k.high_gain[:, p], k.high_inv_gain[:, p]
            return code(HIGH, stage.pick(y[:, LOW:]), mean, index, *gains, stage.pick(inside))

        high_hat = walk(HIGH_OCTAVES, high).chunk(2, 1)[0]
        y_hat = torch.cat((low_hat, high_hat), 1)
        return CodedLatents(y_hat, z, z_bits, z_index, z_shift, low_maps, maps, (h, w))

    def _hyper(
        self,
        y: Tensor,
        k: Knobs,
        inside: Tensor,
        hard: bool,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """z, its bits, tables and shifts, and z dequantised."""
        real = inside[:, :, ::CELL, ::CELL]
        v = self.hyper(y, k.gain) * (256 * Z_UNIT / k.z_mul)
        z = round_through(v) * real
        d = dequantise(z, k.z_mul)
        fourths, sizes = self._laws(d, k)
        location, scale = fourths / Z_FRACTIONS, Z_SCALE_MIN * torch.exp(sizes * Z_LOG_STEP)
        if not hard:
            bits = logistic_bits(v + _noise(v, generator), location, scale)
        else:
            bits = logistic_bits(z.detach(), location, scale)
            if self.training:
                other = logistic_bits(v + _noise(v, generator), location.detach(), scale.detach())
                bits = bits + (other - other.detach())
        return z, bits * real, *_tables(fourths, sizes), d

    def _laws(self, d: Tensor, k: Knobs) -> tuple[Tensor, Tensor]:
        """Location in quarters of a step and scale class of every hyper-latent."""
        locations: list[Tensor] = []
        classes: list[Tensor] = []

        def code(stage: Stage, known: list[Tensor]) -> Tensor:
            own = stage.pick(d)
            place, scale = k.z_place[:, stage.number], k.z_scale[:, stage.number]
            location, size = self.hyper_model(stage, known, own, place, scale)
            locations.append(location)
            classes.append(size)
            return own

        walk(HYPER_OCTAVES, code)
        return quarters(_whole(locations, HYPER_OCTAVES), k.z_mul), _whole(classes, HYPER_OCTAVES)

    def classes(self, z: Tensor, r: Tensor, k: Knobs) -> tuple[Tensor, Tensor, Tensor]:
        """What integers ``z`` ``[B, K, H/2, W/2]`` and ``r`` ``[B, M, H, W]`` are coded with: tables and
        shifts of z, classes of r.  H and W multiples of 8.
        """
        d = dequantise(z, k.z_mul)
        side, found = self.scales.side(d), list[Tensor]()

        def low(stage: Stage, known: list[Tensor]) -> Tensor:
            bias = k.low_bias[:, stage.number]
            found.append(self.scales.low_stage(stage, [magnitude(t) for t in known], side, bias))
            return stage.pick(r[:, :LOW])

        walk(LOW_OCTAVES, low)
        sizes = [magnitude(t) for t in split_phases(r)]
        context = [self.scales.high_context([t[:, :LOW] for t in sizes])]
        index = [_whole(found, LOW_OCTAVES)]
        high = list[Tensor]()
        for p, t in enumerate(sizes):
            high.append(self.scales.high_stage(p, context, side, k.high_bias[:, p]))
            if p < len(sizes) - 1:
                context.append(self.scales.reduced(p, t[:, LOW:]))
        return *_tables(*self._laws(d, k)), torch.cat((*index, join_phases(high)), 1)


def _tables(fourths: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Table and shift of hyper-latents from their location in quarters and their scale class."""
    shift = torch.floor(fourths.detach() / Z_FRACTIONS)
    return sizes.detach() * Z_FRACTIONS + (fourths.detach() - shift * Z_FRACTIONS), shift


def padded(y: Tensor) -> Tensor:
    """``[B, C, h, w]`` extended to multiples of 8 by repeating the last row and column."""
    below, right = -y.shape[2] % MULTIPLE, -y.shape[3] % MULTIPLE
    return F.pad(y, (0, right, 0, below), mode="replicate") if below or right else y


def ended(y: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """``y`` ``[B, C, h, w]`` as if the tiles had ``ends`` ``[B, 2]`` rows and columns: the last ones are
    repeated behind.  Returns that and where it is within, ``[B, 1, h, w]``.
    """
    rows, columns = (torch.arange(side, device=y.device) for side in y.shape[2:])
    within = (rows < ends[:, :1])[:, :, None] & (columns < ends[:, 1:])[:, None]
    row = torch.minimum(rows, ends[:, :1] - 1)[:, :, None]
    column = torch.minimum(columns, ends[:, 1:] - 1)[:, None]
    picture = torch.arange(len(y), device=y.device)[:, None, None]
    beyond = y.detach().permute(0, 2, 3, 1)[picture, row, column].permute(0, 3, 1, 2)
    inside = within[:, None]
    return torch.where(inside, y, beyond), inside.to(y.dtype)


def _whole(parts: list[Tensor], octaves: int) -> Tensor:
    """The map whose stages are ``parts``."""
    found = iter(parts)
    return walk(octaves, lambda stage, known: next(found))


def _noise(t: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform in -1/2 .. 1/2, of t's shape."""
    return torch.rand(t.shape, generator=generator, device=t.device, dtype=t.dtype) - 0.5


__all__ = ["CodedLatents", "LatentNetworks", "ended", "padded", "stages"]
