"""The same details by three codecs at the same size, once and twice as large: the sheets of crops.

    python benchmarks/sheet.py PHOTOS [--bpp 0.25 0.6] [--codecs calotype avif-444 jxl]
        [--out docs/results/sheet]

PHOTOS is a folder with the subfolders kodak and large. For each detail of ``CROPS`` the picture (of a large
one the megapixel around the detail) is encoded by every codec of `calotype bench` that is named. AVIF comes
first, at the quality whose file is nearest to ``--bpp`` bits per pixel: its qualities are coarse. The others
are fitted to the size of that file. A row of the sheets is the original and what the codecs make of it, each
with its bits per pixel and SSIMULACRA2; ``sheet-1x.avif`` shows a detail as it is, ``sheet-2x.avif`` its
middle twice as large, and ``sheet.json`` holds the figures. The sheets are AVIF with all of the colour:
halved, it would hide what codecs do to noise in colour.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calotype.bench import codecs
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.rate import Target
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of, usable

Pixels = NDArray[np.uint8]

SIDE = (400, 264)
"""Width and height of a detail in pixels."""
CROPS = {
    "face and hair": ("large/clic25_0369d229ba4c.png", (0.40, 0.44)),
    "dark cloth": ("large/clic25_097cb426910b.png", (0.22, 0.42)),
    "crowd at night": ("large/clic25_100a02c269c5.png", (0.50, 0.30)),
    "grass and rock": ("large/clic25_1b4ad095795a.png", (0.28, 0.55)),
    "curls": ("large/clic25_2c1f84548ef9.png", (0.30, 0.36)),
    "foliage": ("kodak/kodim13.png", (250, 60)),
    "shutters, letters": ("kodak/kodim08.png", (368, 200)),
}
"""Picture, left and top of the detail: pixels, or shares of the picture where below 1."""
LARGEST = 1024
MISS, TRIES = 0.005, 9
"""A size within this share is near enough; so many qualities are tried for it."""
GAP, LABEL = 6, 20
SHEET = {"quality": 90, "subsampling": "4:4:4", "speed": 6}
"""How a sheet is written."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("photos", type=Path)
    options.add_argument("--bpp", nargs="+", type=float, default=[0.25, 0.6])
    options.add_argument("--codecs", nargs="+", default=["calotype", "avif-444", "jxl"])
    options.add_argument("--out", type=Path, default=Path("docs/results/sheet"))
    given = options.parse_args(arguments)
    usable(given.out)
    chosen = [codecs.get(spec) for spec in given.codecs]
    first, *others = sorted(chosen, key=lambda codec: codec.family != "avif")
    words = sys.argv[1:] if arguments is None else arguments
    record = provenance(["python", "benchmarks/sheet.py", *words])  # before the files that it writes change
    rows: list[dict[str, Any]] = []
    panels: list[list[Pixels]] = []
    for label, (picture, at) in CROPS.items():
        original, (left, top) = cut(given.photos / picture, at)
        part = np.s_[top : top + SIDE[1], left : left + SIDE[0]]
        for bpp in given.bpp:
            row: dict[str, Any] = {"detail": label, "picture": picture, "corner": [left, top], "wanted": bpp}
            files = {first.name: made(first, original, bpp)}
            files |= {codec.name: made(codec, original, files[first.name][0]) for codec in others}
            for name, (size, decoded) in files.items():
                score = ssimulacra2(original, decoded)
                row[name] = {"bpp": round(size, 4), "ssimulacra2": round(score, 2)}
            rows.append(row)
            panels.append([original[part], *(files[codec.name][1][part] for codec in chosen)])
            print(row, flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    names = [codec.name for codec in chosen]
    for times in (1, 2):
        sheet = _draw(names, rows, panels, times)
        sheet.save(given.out / f"sheet-{times}x.avif", "AVIF", **SHEET)
    about = {codec.name: codec.version() for codec in chosen}
    record |= {"finished": now(), "codecs": about, "details": rows}
    (given.out / "sheet.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def made(codec: codecs.Codec, original: Pixels, bpp: float) -> tuple[float, Pixels]:
    """Bits per pixel, and the decoded picture, of the file nearest to `bpp` bits per pixel."""
    pixels = original.shape[0] * original.shape[1]
    if codec.family == "calotype":
        pack = getattr(codec, "pack", None)
        data = encode(Picture.from_array(original), target=Target("bpp", bpp), pack=pack).data
        return 8 * len(data) / pixels, codec.decode(data)
    files: dict[float, bytes] = {}
    small, large = codec.qualities[0], codec.qualities[-1]  # which need not be the lower number
    for _ in range(TRIES):
        quality = (small + large) / 2
        if codec.quality_step:
            quality = round(quality / codec.quality_step) * codec.quality_step
        if quality in files:
            break
        files[quality] = codec.encode(original, quality)
        size = 8 * len(files[quality]) / pixels
        if abs(size / bpp - 1) < MISS:
            break
        small, large = (quality, large) if size < bpp else (small, quality)
    best = min(files.values(), key=lambda data: abs(8 * len(data) / pixels - bpp))
    return 8 * len(best) / pixels, codec.decode(best)


def cut(path: Path, at: tuple[float, float]) -> tuple[Pixels, tuple[int, int]]:
    """The picture (at most LARGEST a side, around the detail), and the detail's left and top in it."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    left, top = (int(a if a >= 1 else a * size) for a, size in zip(at, image.size))
    x, y = (
        max(0, min(corner + side // 2 - LARGEST // 2, size - LARGEST))
        for corner, side, size in zip((left, top), SIDE, image.size)
    )
    part = image.crop((x, y, min(x + LARGEST, image.width), min(y + LARGEST, image.height)))
    left, top = min(left - x, part.width - SIDE[0]), min(top - y, part.height - SIDE[1])
    return np.asarray(part), (left, top)


def _draw(
    names: list[str], rows: list[dict[str, Any]], panels: list[list[Pixels]], times: int
) -> Image.Image:
    width, height = SIDE
    size = (1 + len(names)) * (width + GAP) + GAP, len(rows) * (height + LABEL + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for down, (row, shown) in enumerate(zip(rows, panels)):
        texts = [f"{row['detail']}: original"]
        texts += [f"{n}  {row[n]['bpp']:.3f} bpp  SSIMULACRA2 {row[n]['ssimulacra2']:.1f}" for n in names]
        for across, (text, pixels) in enumerate(zip(texts, shown)):
            corner = GAP + across * (width + GAP), GAP + down * (height + LABEL + GAP)
            pen.text(corner, text, "black", font)
            sheet.paste(_larger(pixels, times), (corner[0], corner[1] + LABEL))
    return sheet


def _larger(pixels: Pixels, times: int) -> Image.Image:
    """The middle of a detail, so many times larger, at the size of a detail."""
    width, height = SIDE[0] // times, SIDE[1] // times
    left, top = (SIDE[0] - width) // 2, (SIDE[1] - height) // 2
    return Image.fromarray(pixels[top : top + height, left : left + width]).resize(
        SIDE, Image.Resampling.NEAREST
    )


if __name__ == "__main__":
    sys.exit(main())
