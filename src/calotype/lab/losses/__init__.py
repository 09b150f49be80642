"""Terms that are added to the rate-distortion objective."""

from __future__ import annotations

from calotype.lab.losses.correlation import CorrelationLoss, WithCorrelation, convert_alpha, normalised

__all__ = ["CorrelationLoss", "WithCorrelation", "convert_alpha", "normalised"]
