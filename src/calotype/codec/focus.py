"""Parts of a picture that count more than the rest (``roi``): faces, text, whatever it is about.

An encoder weighs bits against errors. In these parts an error is worth as much as where it is seen best, in a
smooth sky (`masking`), however busy they are, so more bits go there; nothing else changes, and decoders do
not notice. What that gains is in docs/guide.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calotype.codec.arrays import UInt8Array
from calotype.pack import STRIDE

Box: TypeAlias = tuple[int, int, int, int]
Parts: TypeAlias = Box | Sequence[Box] | UInt8Array | NDArray[np.bool_]
"""A box (left, top, right, bottom) in pixels as the file stores them, several, or a mask of the picture's
size: an array [H, W] of bool or uint8."""

FULL = 255
"""What a mask has where a picture counts most; 0 is as usual."""


def focus(roi: Parts, width: int, height: int) -> UInt8Array:
    """How much more errors count at each latent, [ceil(H / 16), ceil(W / 16)], 0 to FULL.

    Raises ValueError for a box that is empty or not inside the picture, a mask of another size or type, and
    for what is neither.
    """
    if isinstance(roi, np.ndarray) and roi.ndim == 2 and (roi.dtype == np.bool_ or roi.shape[1] != 4):
        if roi.dtype not in (np.bool_, np.uint8):
            raise ValueError(f"a mask for roi must be an array of bool or uint8, not of {roi.dtype}")
        mask = roi.astype(np.uint8) * np.uint8(FULL if roi.dtype == np.bool_ else 1)
    else:
        return _of_boxes(roi, width, height)
    if mask.max(initial=0) == 1:  # as segmentations are kept
        raise ValueError("the mask of roi has only 0 and 1: give bool, or 255 where the picture counts most")
    if mask.shape != (height, width):
        rows, columns = mask.shape
        raise ValueError(f"the mask of roi has {columns} x {rows} pixels, the picture {width} x {height}")
    found = np.zeros((-(-height // STRIDE), -(-width // STRIDE)), np.uint8)
    for row in range(len(found)):
        most = mask[STRIDE * row : STRIDE * (row + 1)].max(0)
        found[row] = np.pad(most, (0, -width % STRIDE)).reshape(-1, STRIDE).max(1)
    return found


def _of_boxes(roi: Any, width: int, height: int) -> UInt8Array:
    boxes = [roi] if _is_box(roi) else roi
    if (
        isinstance(boxes, (str, bytes))
        or not isinstance(boxes, (Sequence, np.ndarray))
        or not all(map(_is_box, boxes))
    ):
        given = (
            f"an array {list(roi.shape)} of {roi.dtype}"
            if isinstance(roi, np.ndarray)
            else type(roi).__name__
        )
        raise ValueError(
            "roi must be a box (left, top, right, bottom) of whole numbers, a list of them, or a mask: "
            f"an image, or an array [H, W] of bool or uint8; not {given}"
        )
    found = np.zeros((-(-height // STRIDE), -(-width // STRIDE)), np.uint8)
    for box in boxes:
        left, top, right, bottom = map(int, box)
        if left >= right or top >= bottom:
            raise ValueError(f"roi ({left}, {top}, {right}, {bottom}) is empty")
        if not (left >= 0 and top >= 0 and right <= width and bottom <= height):
            box = (left, top, right, bottom)
            raise ValueError(f"roi {box} is not inside the picture of {width} x {height} pixels")
        found[top // STRIDE : -(-bottom // STRIDE), left // STRIDE : -(-right // STRIDE)] = FULL
    return found


def _is_box(value: Any) -> bool:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        return False
    return len(value) == 4 and all(
        isinstance(side, (int, np.integer)) and not isinstance(side, bool) for side in value
    )


def nearer(zone: NDArray[np.uint8], part: UInt8Array) -> NDArray[np.uint8]:
    """Zones of `masking` [h, w] where a picture counts more: the first where ``part`` [h, w] is FULL."""
    return ((zone * (FULL - part.astype(np.int32)) + FULL // 2) // FULL).astype(np.uint8)
