"""The picture on the first page: a few details by Calotype, AVIF and JPEG at one size, side by side.

    python benchmarks/front.py PHOTOS [--bpp 0.2] [--out docs/images/front.webp]

PHOTOS is a folder with the subfolder large. Pictures, details and the search for a size are those of
``benchmarks/sheet.py``; here each detail is a part of one there, twice as large, below the codec's name and
the size of its file. Beside the picture, ``front.json`` holds the figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from calotype.bench import codecs
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records.provenance import provenance
from calotype.records.script import guarded, parser_of, usable
from sheet import CROPS, Pixels, cut, made

CODECS = {"calotype": "Calotype", "avif-444": "AVIF", "jpeg-444": "JPEG"}
DETAILS = {"face and hair": (90, 30), "grass and rock": (60, 20)}
"""Of `CROPS`, and where in them the part that is shown begins."""
SHOWN = (220, 160)
TIMES = 2
GAP, LABEL = 10, 38


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("photos", type=Path)
    options.add_argument("--bpp", type=float, default=0.2)
    options.add_argument("--out", type=Path, default=Path("docs/images/front.webp"))
    given = options.parse_args(arguments)
    usable(given.out.parent)
    chosen = [codecs.get(spec) for spec in CODECS]
    rows: list[dict[str, Any]] = []
    panels: list[list[tuple[str, Image.Image]]] = []
    for detail in DETAILS:
        name, at = CROPS[detail]
        original, corner = cut(given.photos / name, at)
        row: dict[str, Any] = {"detail": detail, "picture": name, "wanted": given.bpp}
        row["pixels"] = [original.shape[1], original.shape[0]]
        shown = [("original", _part(original, corner, detail))]
        for codec in chosen:
            bpp, decoded = made(codec, original, given.bpp)
            size = round(bpp * original.shape[0] * original.shape[1] / 8)
            score = round(ssimulacra2(original, decoded), 1)
            row[codec.name] = {"bytes": size, "bpp": round(bpp, 4), "ssimulacra2": score}
            shown.append((f"{CODECS[codec.name]}, {size / 1000:.1f} kB", _part(decoded, corner, detail)))
        rows.append(row)
        panels.append(shown)
        print(row, flush=True)
    words = sys.argv[1:] if arguments is None else arguments
    about = {codec.name: codec.version() for codec in chosen}
    record = provenance(["python", "benchmarks/front.py", *words]) | {"codecs": about, "details": rows}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    draw(panels).save(given.out, "WEBP", quality=88, method=6)
    given.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _part(pixels: Pixels, corner: tuple[int, int], detail: str) -> Image.Image:
    left, top = (c + d for c, d in zip(corner, DETAILS[detail]))
    part = pixels[top : top + SHOWN[1], left : left + SHOWN[0]]
    return Image.fromarray(part).resize((SHOWN[0] * TIMES, SHOWN[1] * TIMES), Image.Resampling.NEAREST)


def draw(panels: list[list[tuple[str, Image.Image]]]) -> Image.Image:
    """Rows of labelled pictures of one size, on white."""
    width, height = SHOWN[0] * TIMES, SHOWN[1] * TIMES
    across, down = len(panels[0]), len(panels)
    sheet = Image.new("RGB", (across * (width + GAP) + GAP, down * (height + LABEL + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(28)
    for y, shown in enumerate(panels):
        for x, (text, picture) in enumerate(shown):
            left, top = GAP + x * (width + GAP), GAP + y * (height + LABEL + GAP)
            pen.text((left + 2, top), text, "#222222", font)
            sheet.paste(picture, (left, top + LABEL))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
