"""What was tried in the product's model: parts that change it, each beginning as the identity, and a loss.

The trials themselves are in `studies.product.trials`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.losses.correlation import normalised
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Bottleneck, Pointwise
from studies.inside.correlation import CorrelationMap

STEP_BITS = 6.75
"""Bits that a shift of one latent by one quantisation step costs, where the step is the one that suits lambda
(`calotype.lab.models.calotype_levels.shrinkage`)."""


class Transposed(nn.Module):
    """A transposed convolution of 4x4 in place of 1x1 and shuffle by 2; gives what is shuffled afterwards."""

    def __init__(self, split: Pointwise) -> None:
        super().__init__()
        out, cin = split.weight.shape[:2]
        inner = split.weight.detach()[:, :, 0, 0].T.reshape(cin, out // 4, 2, 2)
        self.weight = nn.Parameter(F.pad(inner, (1, 1, 1, 1)).clone())
        self.bias = nn.Parameter(split.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        grown = F.conv_transpose2d(x, self.weight, stride=2, padding=1)
        return F.pixel_unshuffle(grown, 2) + self.bias[:, None, None]


class Gated(nn.Module):
    """``expand(x (1 + tanh(W x)))``: the gate of ResAU with tanh on the units behind the 3x3 layer."""

    def __init__(self, expand: Pointwise) -> None:
        super().__init__()
        self.expand, self.gate = expand, Pointwise(expand.in_channels, expand.in_channels)
        self.gate.silence()

    def forward(self, x: Tensor) -> Tensor:
        return self.within(x)

    def within(self, x: Tensor, *, added: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """As `Pointwise.within`."""
        return self.expand.within(x * (1 + torch.tanh(self.gate(x))), added=added, weight=weight)


class ChannelGate(nn.Module):
    """``x (1 + W2 relu(W1 mean(x)))``: squeeze and excitation (Hu et al. 2018) with means over 5x5.

    A mean over the picture would differ from tile to tile and show their edges.
    """

    def __init__(self, channels: int, squeezed: int = 32) -> None:
        super().__init__()
        self.squeeze, self.excite = Pointwise(channels, squeezed), Pointwise(squeezed, channels)
        self.excite.silence()

    def forward(self, x: Tensor) -> Tensor:
        mean = F.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False)
        out: Tensor = x * (1 + self.excite(F.relu(self.squeeze(mean))))
        return out


class Finish(nn.Module):
    """A small residual network on the decoded pixels, at half their resolution, after the last layer."""

    def __init__(self, patch: Pointwise, latents: int, width: int = 16) -> None:
        super().__init__()
        self.patch, self.level = patch, nn.Linear(latents, 2 * width)
        self.first, self.second = nn.Conv2d(12, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 12, 3, padding=1)
        self.vector: Tensor | None = None
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight)
        for part in (self.level, self.last):
            nn.init.zeros_(part.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, t: Tensor) -> Tensor:
        assert self.vector is not None
        x = F.pixel_unshuffle(F.pixel_shuffle(self.patch(t), 8), 2)
        a, b = self.level(self.vector.flatten(1))[:, :, None, None].chunk(2, 1)
        change = self.last(F.relu(self.second(F.relu(self.first(8 * x) + a)) + b)) / 32
        return F.pixel_unshuffle(F.pixel_shuffle(x + change, 2), 8)


class WithTCM(nn.Module):
    """The analysis and, added to it, the analysis of a TCM of n = 32 whose last layer begins at zero."""

    def __init__(self, own: nn.Module, latents: int) -> None:
        super().__init__()
        self.own, self.tcm = own, registry.build("liu2023-tcm-small", n=32, m=latents, slices=1).g_a
        nn.init.zeros_(self.tcm[-1].weight)
        nn.init.zeros_(self.tcm[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.own(x) + self.tcm(x)
        return out


def as_it_is(model: Calotype) -> None:
    """No change."""


def transposed(model: Calotype) -> None:
    """A transposed convolution in the synthesis's split."""
    model.synthesis.split = Transposed(model.synthesis.split)  # type: ignore[assignment]


def gated(model: Calotype) -> None:
    """Gates in all bottlenecks of the synthesis."""
    for part in model.synthesis.modules():
        if isinstance(part, Bottleneck):
            part.expand = Gated(part.expand)  # type: ignore[assignment]


def channel_gate(model: Calotype) -> None:
    """A channel gate behind the synthesis's bottlenecks at 1/16."""
    model.synthesis.blocks16.append(ChannelGate(model.config.latents))


def finish(model: Calotype) -> None:
    """A filter on the decoded pixels."""
    part = Finish(model.synthesis.patch, model.config.latents)
    model.synthesis.patch = part  # type: ignore[assignment]
    model.synthesis.register_forward_pre_hook(lambda _, given: setattr(part, "vector", given[1]))


def tcm(model: Calotype) -> None:
    """A TCM beside the analysis."""
    model.analysis = WithTCM(model.analysis, model.config.latents)  # type: ignore[assignment]


class Distilled:
    """The product's objective plus what the distance of the latents from a teacher's would cost.

    The distance of each latent, in quantisation steps and squared, counts `STEP_BITS`, and like the rest of
    the loss is divided by ``sqrt(lambda)``.  For `calotype.lab.train.loop`; validation leaves it out.
    """

    def __init__(self, objective: Any, teacher: nn.Module) -> None:
        self.objective, self.model, self.teacher = objective, objective.model, teacher.eval()
        seen: dict[str, Tensor] = {}
        self._seen = seen
        self.model.analysis.register_forward_hook(lambda _, x, y: seen.update(x=x[0], y=y))
        self.model.levels.register_forward_hook(lambda _, level, k: seen.update(level=level[0], gain=k.gain))

    def training_loss(
        self, x: Tensor, generator: torch.Generator | None, hard: bool
    ) -> tuple[Tensor, dict[str, Any]]:
        """The objective's loss plus the distance; the log gains "distance", in squared steps per latent."""
        loss, values = self.objective.training_loss(x, generator, hard)
        seen = self._seen
        with torch.no_grad():
            wanted = self.teacher(seen["x"])
        squared = ((seen["y"] - wanted) * seen["gain"].detach()).square()
        bpp = STEP_BITS * squared.sum((1, 2, 3)) / (x.shape[2] * x.shape[3])
        extra = (bpp / self.model.lam(seen["level"]).sqrt()).mean()
        return loss + extra, {**values, "distance": squared.detach().mean()}

    def validate(self, x: Tensor) -> dict[str, Any]:
        """Figures of the objective alone."""
        found: dict[str, Any] = self.objective.validate(x)
        return found


@torch.no_grad()
def neighbours(
    model: Calotype, pictures: Tensor, levels: tuple[int, ...] = (0, 2, 4, 6)
) -> list[dict[str, float]]:
    """What a latent still says about those beside it at some levels: entries of its correlation map, with
    skipped latents.  ``pictures`` are uint8 ``[B, 3, H, W]``, sides multiples of 64.
    """
    found = []
    for level in levels:
        at = CorrelationMap("", radius=1)
        for picture in pictures[:, None]:
            at.add(normalised(model(picture / 255, torch.tensor([float(level)]), hard=True)))
        (a, b, c), (d, centre, e), (f, g, h) = at.map.tolist()
        means = {"above and below": (b + g) / 2, "beside": (d + e) / 2, "diagonal": (a + c + f + h) / 4}
        found.append({"level": level, **{k: round(v, 4) for k, v in {"variance": centre, **means}.items()}})
    return found
