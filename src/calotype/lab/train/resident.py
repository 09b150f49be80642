"""Photographs in the memory of a GPU, and crops made there.

A crop that is turned and mirrored is still affine in memory: pixel ``(i, j)`` lies at ``base + i * down +
j * right``.  So a batch is a table of three numbers for each crop, copied over in one piece, and one gather.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from calotype.lab.train.data import Cut, Photos, enlarge
from calotype.lab.train.stores import DecodedStore


class DevicePhotos:
    """The pixels of decoded photographs on a device.

    size: of the crops; pictures that are smaller are extended by reflection when they are copied over.
    """

    def __init__(self, photos: Photos, device: torch.device, size: int) -> None:
        self.device, self.size = device, size
        sizes = [(max(h, size), max(w, size)) for h, w in photos.sizes]
        self.widths = [w for _, w in sizes]
        self.offsets = [0, *accumulate(3 * h * w for h, w in sizes)]
        pixels = np.empty(self.offsets[-1], np.uint8)

        def fill(k: int) -> None:
            picture = enlarge(photos.picture(k), size)
            pixels[self.offsets[k] : self.offsets[k + 1]].reshape(picture.shape)[:] = picture

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # gigabytes, most of them from a file
            list(pool.map(fill, range(len(sizes))))
        self.pixels = torch.from_numpy(pixels).to(device)
        self.along = torch.arange(size, device=device)
        self.channels = torch.arange(3, device=device)

    @staticmethod
    def fit(photos: Photos, device: torch.device) -> bool:
        """Whether the photographs are decoded and take less than a third of the free memory of a CUDA
        device.
        """
        if device.type != "cuda" or not all(isinstance(s, DecodedStore) for s in photos.stores):
            return False
        return 3 * 3 * sum(h * w for h, w in photos.sizes) < torch.cuda.mem_get_info(device)[0]

    def table(self, cuts: Sequence[Cut]) -> Tensor:
        """What `gather` needs of a plan: int64 ``[n, 3]`` on the CPU, base, step down and step right of each
        crop.
        """
        return torch.tensor([self._affine(c) for c in cuts], dtype=torch.int64)

    def _affine(self, c: Cut) -> tuple[int, int, int]:
        last, width = self.size - 1, self.widths[c.picture]

        def place(i: int, j: int) -> int:
            j = last - j if c.flip else j
            for _ in range(c.turns):  # a quarter turn, anticlockwise: the new (i, j) was at (j, last - i)
                i, j = j, last - i
            return self.offsets[c.picture] + 3 * ((c.top + i) * width + c.left + j)

        base = place(0, 0)
        return base, place(1, 0) - base, place(0, 1) - base

    def gather(self, table: Tensor) -> Tensor:
        """Crops of a table that is on the device, uint8 ``[n, 3, size, size]``, channels last in memory."""
        base, down, right = table[:, :, None, None].unbind(1)
        place = base + self.along[:, None] * down + self.along * right
        return self.pixels[place[..., None] + self.channels].permute(0, 3, 1, 2)

    def cut(self, cuts: Sequence[Cut]) -> Tensor:
        """As `Photos.cut`, on the device."""
        return self.gather(self.table(cuts).to(self.device))
