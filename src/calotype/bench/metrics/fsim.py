"""FSIMc: feature similarity with colour.

Phase congruency (where waves of all scales agree: edges, lines) and gradient magnitude are compared at
every pixel, chroma enters with a small exponent, and phase congruency weights the mean. 10-bit RGB on the
scale 0 to 255, shrunk by box filtering until the shorter side is near 256; sides below 16 are extended.

Source: Zhang, Zhang, Mou, Zhang, "FSIM: a feature similarity index for image quality assessment", IEEE TIP
20(8), 2011; phase congruency after Kovesi, 1999, with the constants of the authors' release.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from calotype.bench.metrics._planes import Picture, Plane, at_least, rgb10

_SCALES, _ORIENTATIONS = 4, 4
_SHORTEST_WAVE, _WAVE_RATIO = 6.0, 2.0
_RADIAL_SIGMA, _ANGULAR_SIGMA = 0.55, math.pi / _ORIENTATIONS / 1.2
_NOISE_SIGMAS, _NOISE_DIVISOR, _EPSILON = 2.0, 1.7, 1e-4

_T_PHASE, _T_GRADIENT, _T_CHROMA, _CHROMA_EXPONENT = 0.85, 160.0, 200.0, 0.03
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def fsim(reference: Picture, decoded: Picture) -> float:
    """FSIMc, 0 to 1, higher is better."""
    (y1, i1, q1), (y2, i2, q2) = (_yiq(image) for image in (reference, decoded))
    phase1, phase2 = _phase_congruency(y1), _phase_congruency(y2)
    similarity = _alike(phase1, phase2, _T_PHASE) * _alike(_gradient(y1), _gradient(y2), _T_GRADIENT)
    chroma = _alike(i1, i2, _T_CHROMA) * _alike(q1, q2, _T_CHROMA)
    similarity *= np.abs(chroma) ** _CHROMA_EXPONENT
    weight = np.maximum(phase1, phase2)
    total = float(weight.sum())
    # A picture without any feature (one flat colour) has no weights; every pixel then counts the same.
    return float((similarity * weight).sum()) / total if total > 0 else float(similarity.mean())


def _yiq(image: Picture) -> Plane:
    """Luma and chroma ``[3, h, w]``, shrunk by a whole factor so that the shorter side is near 256."""
    planes = np.moveaxis(at_least(rgb10(image), 16) @ (_YIQ.T * 255.0), 2, 0)
    factor = max(1, round(min(planes.shape[1:]) / 256))
    height, width = planes.shape[1] // factor, planes.shape[2] // factor
    cut = planes[:, : height * factor, : width * factor]
    return np.asarray(cut.reshape(3, height, factor, width, factor).mean(axis=(2, 4)))


def _alike(a: Plane, b: Plane, constant: float) -> Plane:
    return (2.0 * a * b + constant) / (a * a + b * b + constant)


def _gradient(plane: Plane) -> Plane:
    """Scharr gradient magnitude, zeros beyond the border."""
    p = np.pad(plane, 1)
    smooth_rows = (3.0 * p[:-2] + 10.0 * p[1:-1] + 3.0 * p[2:]) / 16.0
    smooth_columns = (3.0 * p[:, :-2] + 10.0 * p[:, 1:-1] + 3.0 * p[:, 2:]) / 16.0
    return np.hypot(smooth_rows[:, 2:] - smooth_rows[:, :-2], smooth_columns[2:] - smooth_columns[:-2])


def _phase_congruency(plane: Plane) -> Plane:
    """Phase congruency ``[h, w]``, 0 to 1."""
    spectrum = np.fft.fft2(plane)
    energy_all, amplitude_all = np.zeros(plane.shape), np.full(plane.shape, 1e-12)
    for filters, finest_power, joint_power in _log_gabor(*plane.shape):
        responses = np.fft.ifft2(spectrum * filters)  # even response in the real part, odd in the imaginary
        amplitude = np.abs(responses)
        total = responses.sum(axis=0)
        direction = total / (np.abs(total) + _EPSILON)
        along = responses * direction.conj()
        energy = (along.real - np.abs(along.imag)).sum(axis=0)
        # The finest scale is mostly noise: its median power gives the noise power of every scale (Rayleigh).
        noise_power = np.median(amplitude[0] ** 2) / -math.log(0.5) / finest_power
        tau = math.sqrt(noise_power * joint_power)
        spread = math.sqrt(math.pi / 2) + _NOISE_SIGMAS * math.sqrt(2 - math.pi / 2)
        threshold = tau * spread / _NOISE_DIVISOR
        energy_all += np.maximum(energy - threshold, 0.0)
        amplitude_all += amplitude.sum(axis=0)
    return np.asarray(energy_all / amplitude_all)


@functools.lru_cache(maxsize=2)
def _log_gabor(height: int, width: int) -> list[tuple[Plane, float, float]]:
    """Per orientation: the filters of all scales ``[scale, h, w]`` in the frequency domain, the power of
    the finest, and the power of the even part of their sum (what noise of unit power leaves in the summed
    response).
    """
    radius = _radius(height, width)
    low_pass = 1.0 / (1.0 + (radius / 0.45) ** 30)
    radius[0, 0] = 1.0
    radial = []
    for scale in range(_SCALES):
        centre = 1.0 / (_SHORTEST_WAVE * _WAVE_RATIO**scale)
        gain = np.exp(-(np.log(radius / centre) ** 2) / (2.0 * math.log(_RADIAL_SIGMA) ** 2)) * low_pass
        gain[0, 0] = 0.0
        radial.append(gain)
    y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    angle = np.arctan2(-y, x)
    bank = []
    for orientation in range(_ORIENTATIONS):
        turn = angle - orientation * math.pi / _ORIENTATIONS
        away = np.abs(np.arctan2(np.sin(turn), np.cos(turn)))
        filters = np.stack(radial) * np.exp(-(away**2) / (2.0 * _ANGULAR_SIGMA**2))
        total = filters.sum(axis=0)
        even = 0.5 * (total + np.roll(total[::-1, ::-1], (1, 1), (0, 1)))
        bank.append((filters, float((filters[0] ** 2).sum()), float((even**2).sum())))
    return bank


def _radius(height: int, width: int) -> Plane:
    """Distance from zero frequency, cycles per sample; an odd side spans exactly -0.5 to 0.5, as in the
    release.
    """
    axes = [np.fft.ifftshift(np.arange(n) - n // 2) / (n - n % 2) for n in (height, width)]
    return np.hypot(axes[0][:, None], axes[1][None, :])
