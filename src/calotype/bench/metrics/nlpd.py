"""NLPD: distance between normalised Laplacian pyramids. A *distance*: 0 for equal pictures, lower is
better.

Six bands; each is divided by a constant plus a weighted sum of its neighbours' magnitudes (gain control,
fitted to natural images), then compared by root mean square; the result is the mean over the bands.

This is the variant that JPEG AI measures (IQA-pytorch 0.1): bands are expanded bilinearly, the low-pass
residual is left out, borders are mirrored. The authors' own release keeps the residual and gives other
numbers. 10-bit BT.709 luma, 0 to 1; sides below 128 are extended.

Source: Laparra, Balle, Berardino, Simoncelli, "Perceptual image quality assessment using a normalized
Laplacian pyramid", Human Vision and Electronic Imaging 2016 (the constants are the paper's).
"""

from __future__ import annotations

import numpy as np

from calotype.bench.metrics._planes import Picture, Plane, at_least, luma709
from calotype.codec.metrics import filter_valid

_BLUR = np.array([0.05, 0.25, 0.4, 0.25, 0.05])

# Per band: the constant, then the weights of the neighbours above, left, right, below.
_GAIN_CONTROL = (
    (0.0248, 0.1011, 0.1493, 0.1460, 0.1015),
    (0.0185, 0.0757, 0.1986, 0.1846, 0.0837),
    (0.0179, 0.0477, 0.2138, 0.2243, 0.0467),
    (0.0191, 0.0, 0.2503, 0.2616, 0.0),
    (0.0220, 0.0, 0.2598, 0.2552, 0.0),
    (0.2782, 0.0, 0.2215, 0.0717, 0.0),
)


def nlpd(reference: Picture, decoded: Picture) -> float:
    """Normalised Laplacian pyramid distance, lower is better."""
    a, b = (_pyramid(at_least(luma709(image), 128)) for image in (reference, decoded))
    return float(np.mean([np.sqrt(np.mean((x - y) ** 2)) for x, y in zip(a, b)]))


def _pyramid(plane: Plane) -> list[Plane]:
    bands = []
    for constant, above, left, right, below in _GAIN_CONTROL:
        low = _blur(plane)[::2, ::2]
        band = plane - _nearest(_blur(_enlarge(low)), plane.shape)
        m = np.pad(np.abs(band), 1, mode="reflect")
        around = above * m[:-2, 1:-1] + left * m[1:-1, :-2] + right * m[1:-1, 2:] + below * m[2:, 1:-1]
        bands.append(band / (constant + around))
        plane = low
    return bands


def _blur(plane: Plane) -> Plane:
    return filter_valid(np.pad(plane, 2, mode="reflect"), _BLUR)


def _enlarge(plane: Plane) -> Plane:
    """Twice the size, bilinear, corner samples kept in the corners."""
    for axis in (0, 1):
        n = plane.shape[axis]
        place = np.linspace(0.0, n - 1.0, 2 * n)
        left = np.minimum(place.astype(np.intp), n - 2)
        share = (place - left).reshape((-1, 1) if axis == 0 else (1, -1))
        plane = plane.take(left, axis) * (1.0 - share) + plane.take(left + 1, axis) * share
    return plane


def _nearest(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """`plane` resampled to `shape` by nearest neighbour: where a side was odd, one row or column is
    dropped.
    """
    rows, columns = (np.arange(new) * old // new for old, new in zip(plane.shape, shape))
    return plane[np.ix_(rows, columns)]
