"""VIFp: visual information fidelity in the pixel domain.

The information that the decoded picture still carries about the scene, divided by what the original
carries, under a Gaussian model of each neighbourhood at four scales and visual noise of variance 2. 1 for
equal pictures, 0 for no relation; above 1 is possible (enhanced contrast). 10-bit BT.709 luma on the scale
0 to 255; sides below 64 are extended.

Source: Sheikh, Bovik, "Image information and visual quality", IEEE TIP 15(2), 2006, and its pixel-domain
release.
"""

from __future__ import annotations

import numpy as np

from calotype.bench.metrics._planes import Picture, Plane, at_least, luma709
from calotype.codec.metrics import filter_valid, gaussian_window

_NOISE = 2.0
_TINY = 1e-10
_STRIP = 256


def vif(reference: Picture, decoded: Picture) -> float:
    """VIFp, higher is better."""
    x, y = (at_least(luma709(image) * 255.0, 64) for image in (reference, decoded))
    kept = carried = 0.0
    for taps in (17, 9, 5, 3):
        window = gaussian_window(taps, taps / 5)
        if taps != 17:
            x, y = filter_valid(x, window)[::2, ::2], filter_valid(y, window)[::2, ::2]
        for top in range(0, x.shape[0] - taps + 1, _STRIP):  # strips bound the memory
            rows = slice(top, top + _STRIP + taps - 1)
            more_kept, more_carried = _information(x[rows], y[rows], window)
            kept, carried = kept + more_kept, carried + more_carried
    return kept / carried if carried > 0 else float(np.array_equal(x, y))


def _information(x: Plane, y: Plane, window: Plane) -> tuple[float, float]:
    """Information that `y` keeps of `x`, and that `x` carries, summed over all places where the window
    fits.
    """
    mean_x, mean_y, xx, yy, xy = filter_valid(np.stack((x, y, x * x, y * y, x * y)), window)
    var_x = np.maximum(xx - mean_x * mean_x, 0.0)
    var_y = np.maximum(yy - mean_y * mean_y, 0.0)
    cov = xy - mean_x * mean_y
    # Distortion as gain plus noise: y = gain * x + noise.
    gain = cov / (var_x + _TINY)
    noise = var_y - gain * cov
    flat_x, flat_y, against = var_x < _TINY, var_y < _TINY, gain < 0
    noise = np.where(flat_x | against, var_y, noise)
    gain = np.where(flat_x | flat_y | against, 0.0, gain)
    noise = np.maximum(np.where(flat_y, 0.0, noise), _TINY)
    var_x = np.where(flat_x, 0.0, var_x)
    kept = np.log10(1.0 + gain * gain * var_x / (noise + _NOISE)).sum()
    return float(kept), float(np.log10(1.0 + var_x / _NOISE).sum())
