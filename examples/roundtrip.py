"""Compress a photograph at several qualities, decode it, and print how large and how close each result is.

python examples/roundtrip.py [PHOTO]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import calotype

photo = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parent / "miner-portrait.jpg")
original = Image.open(photo).convert("RGB")
pixels = np.asarray(original, np.float64)

print("quality     bytes    bpp   PSNR")
for quality in (10, 30, 50, 70, 90):
    data = calotype.encode(original, quality=quality)
    decoded = np.asarray(calotype.decode(data), np.float64)
    psnr = 10 * np.log10(255**2 / np.mean((pixels - decoded) ** 2))
    bpp = 8 * len(data) / (original.width * original.height)
    print(f"{quality:7}  {len(data):8,}  {bpp:.3f}  {psnr:.2f}")
