"""Quantizers, distributions, the coders that a walk is handed, and orders over positions and channels."""

from __future__ import annotations

from calotype.lab.entropy.coders import Coder, Estimate, FileDecoder, FileEncoder, given, parts, place, take
from calotype.lab.entropy.distributions import Gaussian, Logistic, Mixture, log_scales
from calotype.lab.entropy.factorized import FactorizedPrior
from calotype.lab.entropy.order import channel_slices, checkerboard, raster, two_pass, wavefronts

__all__ = [
    "Coder",
    "Estimate",
    "FactorizedPrior",
    "FileDecoder",
    "FileEncoder",
    "Gaussian",
    "Logistic",
    "Mixture",
    "channel_slices",
    "checkerboard",
    "given",
    "log_scales",
    "parts",
    "place",
    "raster",
    "take",
    "two_pass",
    "wavefronts",
]
