"""What parts that count more (``roi``) gain, and what the whole picture loses, at one size of the file.

    python benchmarks/roi.py measure PICTURES... [--bpp 0.25 0.6] [--out docs/results/roi.json]
    python benchmarks/roi.py table docs/results/roi.json docs/guide.md

``measure`` encodes pictures of Kodak with and without their part in `PARTS` and stores SSIMULACRA2 and PSNR
of that part and of the whole; ``table`` writes them between the marks ``<!-- benchmark:roi -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from PIL import Image

from calotype.bench import tables
from calotype.bench.runner import find_images
from calotype.codec import library
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.metrics import psnr
from calotype.codec.rate import Target
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records import markdown, provenance
from calotype.records.script import guarded, parser_of

NAME = "roi"
PARTS = {
    "kodim01": ("door", (430, 150, 640, 300)),
    "kodim04": ("face", (120, 150, 400, 500)),
    "kodim08": ("letters", (540, 290, 768, 360)),
    "kodim15": ("face", (200, 100, 420, 400)),
    "kodim23": ("head of a parrot", (80, 60, 260, 220)),
}
"""What the part shows, and where it is: left, top, right, bottom."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    measuring = tables.add_commands(options, NAME)
    measuring.add_argument("--bpp", nargs="+", type=float, default=[0.25, 0.6])
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write(given, table, NAME)
        return
    pack = library.load(given.pack).manifest
    stored: dict[str, Any] = {"pack": f"{pack.name} {pack.id[:8]}"}
    stored |= provenance.provenance(["python", "benchmarks/roi.py", *(arguments or sys.argv[1:])])
    rows: list[dict[str, Any]] = []
    for path in find_images(given.pictures):
        if path.stem in PARTS:
            with Image.open(path) as image:
                picture = Picture.from_pil(image.convert("RGB"))
            rows += [_one(picture, path.stem, bpp, given.pack) for bpp in given.bpp]
    stored["finished"] = provenance.now()
    given.out.write_text(json.dumps(stored | {"files": rows}, indent=1) + "\n", encoding="utf-8")
    print(table(stored | {"files": rows}))


def _one(picture: Picture, name: str, bpp: float, pack: str | None) -> dict[str, Any]:
    what, box = PARTS[name]
    left, top, right, bottom = box
    row: dict[str, Any] = {"picture": name, "part": what, "box": box, "bpp": bpp}
    for way, given in (("usual", picture), ("roi", picture.focused(box))):
        data = encode(given, target=Target("bpp", bpp), pack=pack).data
        pair = picture.pixels, decode(data).picture.pixels
        part = [np.ascontiguousarray(pixels[top:bottom, left:right]) for pixels in pair]
        row[way] = {
            "bytes": len(data),
            "whole": round(ssimulacra2(*pair), 3),
            "part": round(ssimulacra2(part[0], part[1]), 3),
            "psnr of the part": round(psnr(part[0], part[1]), 4),
        }
    return row


def table(stored: dict[str, Any]) -> str:
    """Every picture at every rate, as Markdown."""
    cells = []
    for row in sorted(stored["files"], key=lambda row: (row["bpp"], row["picture"])):
        left, top, right, bottom = row["box"]
        gains = {
            name: row["roi"][name] - row["usual"][name] for name in ("part", "psnr of the part", "whole")
        }
        cells.append([
            f"{row['bpp']:g}", row["picture"], f"{row['part']}, {right - left} x {bottom - top}",
            *(f"{row['usual'][name]:.1f}" for name in ("part", "whole")),
            f"{gains['part']:+.1f}", f"{gains['psnr of the part']:+.2f}", f"{gains['whole']:+.1f}",
        ])  # fmt: skip
    heads = ["bits per pixel", "picture", "part", "its score", "the whole's", "gain", "in dB", "the whole's"]
    return "\n".join((
        *markdown.table(heads, cells, "rllrrrrr"),
        "",
        "SSIMULACRA2 without `roi`, and by how much it and the part's PSNR change with it, at one size of "
        f"the file. Pack {stored['pack']}, measured {stored['finished'][:10]} at commit "
        f"`{(stored['commit'] or 'unknown')[:13]}`.",
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
