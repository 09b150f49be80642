"""A map of numbers as a picture, with a scale of colours under it: for ``calotype probe --map``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# From black through blue, purple, orange and yellow to white: lighter is always more, in grey print, too.
COLOURS = (
    (0, 0, 0),
    (35, 20, 100),
    (125, 30, 120),
    (205, 60, 70),
    (245, 130, 30),
    (250, 210, 70),
    (255, 255, 255),
)
LEAST, MOST = 640, 8
"""Maps are enlarged until they are so wide or high, at most so many times."""
SCALE, TEXT = 12, 16
"""Heights of the bar of colours and of the line of numbers under it."""


def draw(values: NDArray[np.float64], unit: str) -> Image.Image:
    """Numbers of at least 0, [h, w], as squares of colour from black for 0 to white for the largest.

    "The largest" leaves out the highest thousandth, which the last number of the scale tells by "or more".
    """
    top = float(np.quantile(values, 0.999)) or float(values.max()) or 1.0
    size = max(1, min(MOST, LEAST // max(values.shape)))
    squares = np.repeat(np.repeat(coloured(values / top), size, 0), size, 1)
    width = max(squares.shape[1], 240)
    image = Image.new("RGB", (width, squares.shape[0] + SCALE + TEXT + 4), (128, 128, 128))
    image.paste(Image.fromarray(squares), (0, 0))
    bar = np.repeat(coloured(np.linspace(0, 1, width))[None], SCALE, 0)
    image.paste(Image.fromarray(bar), (0, squares.shape[0] + 4))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default()
    line = squares.shape[0] + SCALE + 6
    more = " or more" if values.max() > top else ""
    for text, x, anchor in (
        ("0", 2, "la"),
        (f"{top / 2:.3g}", width // 2, "ma"),
        (f"{top:.3g} {unit}{more}", width - 2, "ra"),
    ):
        pen.text((x, line), text, (255, 255, 255), font, anchor)
    return image


def coloured(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours [..., 3] of numbers from 0 to 1; what is beyond counts as 1."""
    stops = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(shares, stops, channel) for channel in np.transpose(COLOURS)]
    return np.asarray(np.stack(channels, axis=-1).round(), np.uint8)
