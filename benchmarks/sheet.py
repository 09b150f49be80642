"""Crops at 2x beside AVIF at the same size: the sheet in docs/results/sheet.

    python benchmarks/sheet.py PHOTOS [--bpp 0.25] [--effort 0] [--out docs/results/sheet]

PHOTOS is a folder with the subfolders kodak and samples. For each crop of ``CROPS`` the whole picture (of a
large one the megapixel around the crop) is encoded to the size that ``--bpp`` asks for with Calotype, and
with AVIF (4:4:4, tuned for PSNR, speed 6) at the quality whose file is nearest to that size. The page shows
the original, ours, AVIF, each with its bits per pixel and PSNR; ``sheet.json`` holds the figures.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from calotype.bench.metrics import METRICS
from calotype.codec import library
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.rate import Target
from calotype.records.provenance import provenance
from calotype.records.script import guarded, usable

SIDE = (200, 132)
"""Width and height of a crop in pixels; shown twice as large."""
CROPS = {
    "face": ("kodak/kodim04.png", (250, 330)),
    "face, outdoors": ("kodak/kodim15.png", (260, 90)),
    "portrait": ("samples/miner-portrait.jpg", (0.34, 0.34)),
    "text": ("kodak/kodim14.png", (495, 365)),
    "text, small": ("kodak/kodim20.png", (225, 240)),
    "buildings": ("kodak/kodim08.png", (300, 290)),
    "foliage": ("kodak/kodim13.png", (380, 120)),
    "foliage, flowers": ("kodak/kodim07.png", (420, 190)),
    "night": ("samples/san-francisco-dusk.jpg", (0.45, 0.55)),
}
"""Picture, left and top of the crop: pixels, or shares of the picture where below 1."""
LARGEST = 1024


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("photos", type=Path)
    options.add_argument("--bpp", type=float, default=0.25)
    options.add_argument("--effort", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("docs/results/sheet"))
    given = options.parse_args(arguments)
    usable(given.out)
    rows: list[dict[str, Any]] = []
    panels = []
    for label, (name, at) in CROPS.items():
        original, corner = _cut(given.photos / name, at)
        data = encode(Picture.from_pil(original), target=Target("bpp", given.bpp), effort=given.effort).data
        ours = decode(data).picture.to_pil()
        size, theirs = _avif(original, len(data))
        pixels = original.width * original.height
        figures = {"crop": label, "picture": name, "corner": corner}
        for codec, length, image in (("calotype", len(data), ours), ("avif", size, theirs)):
            psnr = METRICS["psnr_rgb"].compute(np.asarray(original), np.asarray(image))
            figures[codec] = {"bpp": round(8 * length / pixels, 4), "psnr": round(psnr, 2)}
        rows.append(figures)
        panels.append([_crop(image, corner) for image in (original, ours, theirs)])
        print(figures, flush=True)
    pack = library.load().manifest
    given.out.mkdir(parents=True, exist_ok=True)
    _draw(rows, panels).save(given.out / "sheet.webp", "WEBP", quality=88, method=6)
    made = provenance(["python", "benchmarks/sheet.py", *(arguments or sys.argv[1:])])
    about = {"pack": f"{pack.name} {pack.id[:8]}", "effort": given.effort, "bpp": given.bpp}
    about |= made | {"crops": rows}
    (given.out / "sheet.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _cut(path: Path, at: tuple[float, float]) -> tuple[Image.Image, tuple[int, int]]:
    """The picture (at most LARGEST a side, around the crop), and the crop's left and top in it."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    left, top = (int(a if a >= 1 else a * size) for a, size in zip(at, image.size))
    x, y = (
        max(0, min(corner + side // 2 - LARGEST // 2, size - LARGEST))
        for corner, side, size in zip((left, top), SIDE, image.size)
    )
    part = image.crop((x, y, min(x + LARGEST, image.width), min(y + LARGEST, image.height)))
    left, top = min(left - x, part.width - SIDE[0]), min(top - y, part.height - SIDE[1])
    return part, (left, top)


def _avif(image: Image.Image, size: int) -> tuple[int, Image.Image]:
    """AVIF's size and pixels at the quality whose file is nearest to `size` bytes."""
    tried: dict[int, bytes] = {}
    low, high = 0, 100
    while low <= high:
        quality = (low + high) // 2
        stream = io.BytesIO()
        advanced = {"tune": "psnr"}
        image.save(stream, "AVIF", quality=quality, subsampling="4:4:4", speed=6, advanced=advanced)
        tried[quality] = stream.getvalue()
        if len(tried[quality]) > size:
            high = quality - 1
        else:
            low = quality + 1
    data = min(tried.values(), key=lambda data: abs(len(data) - size))
    return len(data), Image.open(io.BytesIO(data)).convert("RGB")


def _crop(image: Image.Image, corner: tuple[int, int]) -> Image.Image:
    box = (*corner, corner[0] + SIDE[0], corner[1] + SIDE[1])
    return image.crop(box).resize((2 * SIDE[0], 2 * SIDE[1]), Image.Resampling.NEAREST)


def _draw(rows: list[dict[str, Any]], panels: list[list[Image.Image]]) -> Image.Image:
    width, height, label = 2 * SIDE[0], 2 * SIDE[1], 20
    sheet = Image.new("RGB", (3 * (width + 6) + 6, len(rows) * (height + label + 6) + 6), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for y, (row, images) in enumerate(zip(rows, panels)):
        texts = [f"{row['crop']}: original"]
        texts += [f"{c}  {row[c]['bpp']:.3f} bpp  {row[c]['psnr']:.2f} dB" for c in ("calotype", "avif")]
        for x, (text, image) in enumerate(zip(texts, images)):
            corner = 6 + x * (width + 6), 6 + y * (height + label + 6)
            pen.text(corner, text, "black", font)
            sheet.paste(image, (corner[0], corner[1] + label))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
