"""The numbers for colours of ITU-T H.273 (CICP): what primaries and transfer functions they stand for."""

from __future__ import annotations

from calotype.codec.icc import D65, SRGB, Curve, Primaries, gamma_curve

_C = (0.310, 0.316)
_NTSC: Primaries = (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)

PRIMARIES: dict[int, Primaries] = {
    1: SRGB,
    2: SRGB,  # unspecified
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: _NTSC,
    7: _NTSC,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# 1, 6, 14 and 15 are the camera's curve of BT.709 and its kin. Pictures with it are made for screens, and
# viewers show them as they show sRGB.
_SRGB = (1, 2, 6, 11, 12, 13, 14, 15)
CURVES: dict[int, Curve] = {4: gamma_curve(2.2), 5: gamma_curve(2.8), 8: gamma_curve(1), 17: gamma_curve(2.6)}
HDR = {16: "PQ", 18: "HLG"}


def known(transfer: int) -> bool:
    """Whether a transfer function is one of those here."""
    return transfer in _SRGB or transfer in CURVES or transfer in HDR
