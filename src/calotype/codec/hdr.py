"""HDR pictures (PQ and HLG of ITU-R BT.2100) brought to sRGB.

Diffuse white, 203 cd/m2 (ITU-R BT.2408), is 1. Darker than :data:`KNEE` stays as it is; brighter
light, up to 1000 cd/m2, is rolled off by Reinhard's extended curve on the largest of R, G and B, so that
hues stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.codec import icc
from calotype.codec.icc import SRGB, Primaries

WHITE = 203.0
PEAK = 1000.0 / WHITE
KNEE = 0.6
_STRIP = 256

Array = NDArray[np.float64]


def to_srgb(image: Image.Image, primaries: Primaries, transfer: str) -> Image.Image:
    """An image of mode L, LA, RGB or RGBA whose values are of PQ or HLG, as sRGB. Alpha stays."""
    pixels = np.array(image)
    colours = pixels if pixels.ndim == 2 else pixels[:, :, : 3 if pixels.shape[2] > 2 else 1]
    flat = colours.reshape(colours.shape[0], colours.shape[1], -1)
    try:
        matrix = np.linalg.solve(icc.to_xyz(SRGB), icc.to_xyz(primaries))
    except ValueError:
        matrix = np.eye(3)
    for top in range(0, flat.shape[0], _STRIP):
        light = _pq(flat[top : top + _STRIP]) if transfer == "PQ" else _hlg(flat[top : top + _STRIP])
        if light.shape[2] == 3:
            light = light @ matrix.T
        flat[top : top + _STRIP] = np.rint(255 * encode(roll_off(light)))
    return Image.fromarray(pixels)


def roll_off(light: Array) -> Array:
    """Light [..., C] relative to white, brought below 1."""
    light = np.maximum(light, 0)
    largest = light.max(axis=-1, keepdims=True)
    t = np.minimum((np.maximum(largest, KNEE) - KNEE) / (1 - KNEE), (PEAK - KNEE) / (1 - KNEE))
    end = (PEAK - KNEE) / (1 - KNEE)
    lower = np.where(largest > KNEE, KNEE + (1 - KNEE) * t * (1 + t / end**2) / (1 + t), largest)
    scaled: Array = np.minimum(light * lower / np.maximum(largest, 1e-9), 1)
    return scaled


def encode(light: Array) -> Array:
    """sRGB's values, 0 to 1, of linear light."""
    light = np.clip(light, 0, 1)
    values: Array = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return values


def _pq(values: NDArray[np.uint8]) -> Array:
    power = (np.arange(256) / 255) ** (1 / 78.84375)
    top = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    table: Array = 10000 / WHITE * top ** (1 / 0.1593017578125)
    return table[values]


def _hlg(values: NDArray[np.uint8]) -> Array:
    v = np.arange(256) / 255
    scene = np.where(v <= 0.5, v**2 / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)[values]
    weights = np.array([0.2627, 0.6780, 0.0593]) if scene.shape[2] == 3 else np.ones(1)
    luminance = (scene @ weights)[..., None]
    shown: Array = PEAK * np.maximum(luminance, 1e-9) ** 0.2 * scene  # a display of 1000 cd/m2: gamma 1.2
    return shown
