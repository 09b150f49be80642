"""The sizes of the product's model (`calotype.lab.models.calotype`), which all its parts read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from calotype.lab.models.calotype_walk import LOW
from calotype.lab.sizes import checked_arguments


@dataclass
class Config:
    """Sizes of the model."""

    latents: int = 384
    """Channels of y (M), at 1/16 of the picture."""
    width: int = 192
    """Channels of the residual stream at 1/8: one per coefficient of an 8x8 RGB patch, at most 192."""
    narrow: int = 96
    """Inner channels of a bottleneck at 1/8."""
    narrow16: int = 128
    """Inner channels of a bottleneck of the synthesis at 1/16."""
    wide16: int = 192
    """The same of the analysis, which may take longer."""
    analysis_blocks: tuple[int, int] = (4, 4)
    """Bottlenecks of the analysis transform at 1/8 and 1/16."""
    synthesis_blocks: tuple[int, int] = (1, 2)
    """Bottlenecks of the synthesis transform at 1/16 and 1/8."""
    render: int = 48
    """Channels of the renderer at 1/4."""
    render_layers: int = 3
    """Its 3x3 layers."""
    lambdas: tuple[float, ...] = (0.00035, 0.0017, 0.00413, 0.01, 0.0243, 0.0593, 0.144, 0.35)
    """Rate-distortion multipliers of the trained levels (bpp + lambda * MSE on a 0..255 scale), rising."""

    def __post_init__(self) -> None:
        self.analysis_blocks = (int(self.analysis_blocks[0]), int(self.analysis_blocks[1]))
        self.synthesis_blocks = (int(self.synthesis_blocks[0]), int(self.synthesis_blocks[1]))
        self.lambdas = tuple(float(v) for v in self.lambdas)
        if not LOW < self.latents <= 4 * self.width or not 4 <= self.width <= 192:
            raise ValueError(
                f"width must be 4..192 and latents {LOW + 1}..4*width, got {self.width} and {self.latents}"
            )
        if min(self.narrow, self.narrow16, self.wide16, self.render) < 1 or self.render_layers < 0:
            raise ValueError("narrow, narrow16, wide16 and render must be at least 1, and render_layers 0")
        if len(self.lambdas) < 2 or any(not 0 < a < b for a, b in pairwise(self.lambdas)):
            raise ValueError(f"lambdas must be two or more rising numbers above 0, got {self.lambdas}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build from a mapping.

        Raises:
            ValueError: for a key that is not a field, or a value of the wrong kind or out of range.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}")
        return cls(**checked_arguments(cls, values))

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)
