"""What int8 networks cost in rate and save in time, against the same pack's float32 ones, with real files.

    python benchmarks/precision.py measure PICTURES... [--qualities 10 25 40 55 70 85] [--every 1]
        [--repeat 3] [--pack PACK] [--out docs/results/precision.json]
    python benchmarks/precision.py table docs/results/precision.json docs/guide.md

Every picture is encoded and decoded with each kind of networks at both ends, in turns, on one thread. BD-rate
(PSNR over R, G and B) is that of the mean curves; times are ratios of CPU seconds, the median of all turns.
``table`` writes the table between the marks ``<!-- benchmark:precision -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from calotype.bench import tables
from calotype.bench.bdrate import bd_rate
from calotype.bench.runner import find_images
from calotype.codec import library
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.quality import psnr
from calotype.records import markdown
from calotype.records.provenance import provenance
from calotype.records.script import guarded

KINDS = ("fp32", "int8")
NAME = "precision"
"""Of the marks in documents."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measuring = tables.add_commands(options, NAME, [10, 25, 40, 55, 70, 85])
    measuring.add_argument("--repeat", type=int, default=3)
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write(given, table, NAME)
        return
    command = ["python", "benchmarks/precision.py", *(arguments or sys.argv[1:])]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    stored = measure(given) | provenance(command)
    given.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(table(stored))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """A row for each picture, quality and kind; times are the medians of the turns."""
    path = library.load(given.pack or library.tuned("psnr")).path
    packs = {kind: Pack(path, precision=kind) for kind in KINDS}  # type: ignore[arg-type]
    rows = []
    for picture_path in find_images(given.pictures)[:: given.every]:
        with Image.open(picture_path) as image:
            picture = Picture.from_pil(image.convert("RGB"))
        for quality in given.qualities:
            seconds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
            found = {}
            for _ in range(given.repeat):
                for kind, pack in packs.items():
                    encoding, made = _timed(encode, picture, quality=quality, pack=pack, threads=1)
                    decoding, back = _timed(decode, made.data, pack=pack, threads=1)
                    seconds[kind].append((encoding, decoding))
                    likeness = psnr(picture.pixels, back.picture.pixels)
                    found[kind] = {
                        "bpp": 8 * len(made.data) / (picture.width * picture.height),
                        "psnr": likeness,
                    }
            for kind in KINDS:
                encoding, decoding = (statistics.median(turn) for turn in zip(*seconds[kind]))
                rows.append({"picture": picture_path.stem, "quality": quality, "kind": kind, **found[kind],
                             "encode": encoding, "decode": decoding})  # fmt: skip
    fields = next(iter(packs.values())).manifest
    return {"pack": f"{fields.name} {fields.id[:8]}", "rows": rows}


def _timed(work: Callable[..., Any], *given: Any, **named: Any) -> tuple[float, Any]:
    begun = time.process_time()
    result = work(*given, **named)
    return time.process_time() - begun, result


def table(stored: dict[str, Any]) -> str:
    """BD-rate and times of int8 against float32, as Markdown."""
    rows = {kind: [row for row in stored["rows"] if row["kind"] == kind] for kind in KINDS}
    rate = bd_rate(*(tables.mean_curve(rows[kind]) for kind in KINDS)).value
    times = {
        what: statistics.median(b[what] / a[what] for a, b in zip(*rows.values(), strict=True))
        for what in ("encode", "decode")
    }
    pictures = len({row["picture"] for row in stored["rows"]})
    qualities = len({row["quality"] for row in stored["rows"]})
    return "\n".join(
        [
            *markdown.table(
                ["networks", "BD-rate", "CPU time of encoding", "of decoding"],
                [
                    ["float32", "", "1", "1"],
                    ["int8", f"{rate:+.2f} %", f"{times['encode']:.2f}", f"{times['decode']:.2f}"],
                ],
            ),
            "",
            f"{pictures} pictures at {qualities} qualities on {stored['hardware']['processor']}, one thread; "
            f"pack {stored['pack']}, measured {stored['finished'][:10]} at commit "
            f"`{(stored['commit'] or 'unknown')[:13]}`.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
