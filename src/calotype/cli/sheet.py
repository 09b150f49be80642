"""The picture that ``calotype demo`` draws: one detail of the original and of every result, side by side."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from calotype.cli.rivals import Result
from calotype.codec.arrays import UInt8Array

DETAIL = (480, 360)  # width, height in pixels, shown one to one
MARGIN, LABEL = 8, 26


def draw(original: UInt8Array, results: list[Result]) -> bytes:
    """A PNG with two panels a row: the original, then every result."""
    left, top = busiest(original)
    width, height = min(DETAIL[0], original.shape[1]), min(DETAIL[1], original.shape[0])
    panels = [("original", original)]
    for result in results:
        size = f"{len(result.data):,} bytes"
        panels.append(
            (f"{result.codec}  {size}  {result.psnr:.2f} dB  MS-SSIM {result.ms_ssim:.4f}", result.pixels)
        )
    rows = -(-len(panels) // 2)
    sheet = Image.new(
        "RGB", (2 * (width + MARGIN) + MARGIN, rows * (height + LABEL + MARGIN) + MARGIN), "white"
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (label, pixels) in enumerate(panels):
        x = MARGIN + number % 2 * (width + MARGIN)
        y = MARGIN + number // 2 * (height + LABEL + MARGIN)
        pen.text((x, y + 3), label, "black", font)
        sheet.paste(Image.fromarray(pixels[top : top + height, left : left + width]), (x, y + LABEL))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def busiest(pixels: UInt8Array) -> tuple[int, int]:
    """Left and top of the detail with the strongest contrast between neighbours, on a coarse grid."""
    height, width = pixels.shape[:2]
    grey = pixels[:, :, 1].astype(np.int32)
    change = np.abs(np.diff(grey, axis=1))[:-1] + np.abs(np.diff(grey, axis=0))[:, :-1]
    sums = np.zeros((height, width), np.int64)
    sums[1:, 1:] = change.cumsum(0).cumsum(1)
    w, h = min(DETAIL[0], width) - 1, min(DETAIL[1], height) - 1
    corners = [(x, y) for y in range(0, height - h, 60) for x in range(0, width - w, 60)]

    def strength(corner: tuple[int, int]) -> int:
        x, y = corner
        return int(sums[y + h, x + w] - sums[y, x + w] - sums[y + h, x] + sums[y, x])

    return max(corners, key=strength)
