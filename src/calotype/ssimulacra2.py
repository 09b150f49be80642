"""What SSIMULACRA2 is, in numbers: for the codec, which computes it with NumPy
(`calotype.codec.ssimulacra2`) and refines files for it (`calotype.codec.effort.look`), and the laboratory,
which trains for it (`calotype.lab.losses.ssimulacra2`).

Both pictures are brought to XYB, a space made for what eyes tell apart, at five scales, each half the size of
the one before (halved in linear light). At each scale a Gaussian of 1.5 pixels gives local means, variances
and covariance, and from them three maps:

* structure:   1 - (1 - (m1 - m2)^2) (2 cov + C) / (var1 + var2 + C), not below 0
* artefacts:   how much stronger the decoded picture's deviation from its local mean is, not below 0
* lost detail: how much weaker, not below 0

Of each, the mean and the 4-norm over the picture are weighted and summed, and `DISTORTION`, `POWER` bring the
sum to the scale of opinion scores: 100 is equal, 90 not told apart in a flicker test, 70 high, 50 medium,
30 low quality; bad pictures fall below 0.

Source: Sneyers, SSIMULACRA 2, https://github.com/cloudinary/ssimulacra2, whose 108 weights were fitted to
opinion scores. 73 of them are 0 and 31 of the others below 0.01; they are left out, and with them the sixth
scale. Together they change a score by less than 0.01, and by up to 0.08 where it is about -2000, as between a
picture and its negative. Borders follow PyPI's ssimulacra2 0.3.0: beyond the
left and right border is 0, beyond top and bottom the picture is mirrored.
"""

from __future__ import annotations

from typing import NamedTuple


class Weights(NamedTuple):
    """Of one channel at one scale: mean and 4-norm of each of the three maps."""

    structure: float = 0.0
    structure4: float = 0.0
    artefacts: float = 0.0
    artefacts4: float = 0.0
    lost: float = 0.0
    lost4: float = 0.0


X, Y, B = range(3)

SCALES: tuple[dict[int, Weights], ...] = (
    {Y: Weights(structure4=7.466890328078848, lost4=17.445833984131262)},
    {
        X: Weights(structure4=1.1041726426657346),
        Y: Weights(structure4=6.683678146179332, lost4=1.027889937768264),
    },
    {
        X: Weights(structure4=1.8422455520539298, artefacts4=11.441172603757666),
        Y: Weights(structure=225.20515300849274, structure4=19.213238186143016),
    },
    {
        X: Weights(structure4=1.8787594979546387, artefacts4=10.94906990605142),
        Y: Weights(176.39317598450694, 24.43300999870476, artefacts4=0.28520802612117757),
        B: Weights(structure4=8.826982764996862, artefacts4=23.19243343998926),
    },
    {
        X: Weights(artefacts=0.9677937080626833, artefacts4=0.9981766977854967),
        Y: Weights(structure4=34.77906344483772, artefacts4=44.835625328877896),
        B: Weights(
            structure=95.1080498811086,
            artefacts=0.9863978034400682,
            artefacts4=171.2667255897307,
            lost=0.9834382792465353,
            lost4=0.9807858872435379,
        ),
    },
)
"""Weights of the channels that count at each scale, finest first."""

SMALLEST_SIDE = 113
"""The fifth scale of such a picture has 8 samples; smaller pictures are extended."""

ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
"""Linear R, G, B (rows sum to 1) to what the three kinds of cones take up."""
BIAS = 0.0037930732552754493
"""Added before the cube root, so that its slope is finite at black."""
OFFSETS = (0.42, 0.01, 0.55)
"""Added to X (times `X_GAIN`), Y and B - Y, so that all are positive."""
X_GAIN = 14.0

C = 0.0009
SIGMA, RADIUS = 1.5, 5
"""Of the Gaussian, in pixels."""

DISTORTION = (0.0, 2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
"""A polynomial in the weighted sum times `GAIN`; the score is ``100 - 10 distortion^POWER``."""
GAIN = 0.9562382616834844
POWER = 0.6276336467831387
