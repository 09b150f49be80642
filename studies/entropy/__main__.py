"""What the shipped pack's entropy model leaves to be gained: other tables, other hyper-latents.

    python -m studies.entropy tables PICTURES... --train PHOTOGRAPHS [--every 14]
    python -m studies.entropy hyper|skips PICTURES...
        [--qualities ...] [--side ...] [--pack photo-psnr] [--out studies/entropy/NAME.json]
    python -m studies.entropy page studies/entropy

PICTURES are files or folders, of which the middle is taken; the name of a picture's folder is that of its
set.
``page`` writes what the JSON files of a folder hold into its README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from calotype.bench import tables
from calotype.bench.names import find_images
from calotype.codec import library
from calotype.codec.pack import Pack
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, made_of, parser_of, run_as
from studies.entropy import hyper, laws
from studies.entropy.crops import Crop, middle

HERE = Path("studies/entropy")
QUALITIES = (10, 30, 55)
SIDES = {"tables": 1024, "hyper": 256, "skips": 256, "training": 512}
"""Of the middles, in pixels."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    for name in PAGES:
        measuring = commands.add_parser(name)
        measuring.add_argument("pictures", nargs="+", type=Path)
        measuring.add_argument("--qualities", nargs="+", type=float, default=list(QUALITIES))
        measuring.add_argument("--side", type=int, default=SIDES[name])
        measuring.add_argument("--pack", default="photo-psnr")
        measuring.add_argument("--out", type=Path, default=HERE / f"{name}.json")
        if name == "tables":
            measuring.add_argument("--train", nargs="+", type=Path, required=True)
            measuring.add_argument("--every", type=int, default=14, help="fit to one photograph of so many")
    commands.add_parser("page").add_argument("folder", type=Path, nargs="?", default=HERE)
    given = options.parse_args(arguments)
    if given.command == "page":
        for name, page in PAGES.items():
            tables.insert(
                given.folder / "README.md", name, made_of(given.folder / f"{name}.json", page), "benchmark"
            )
        return
    pack = library.load(given.pack)
    about = {"pack": pack.manifest.id[:8]}
    about |= provenance(run_as(__file__, arguments))
    stored = about | (_tables if given.command == "tables" else _each)(pack, given) | {"finished": now()}
    given.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(PAGES[given.command](stored))


def _tables(pack: Pack, given: argparse.Namespace) -> dict[str, Any]:
    photographs = find_images(given.train)[:: given.every]
    training = [
        laws.Counts(Crop(pack, middle(path, SIDES["training"]), quality))
        for path in photographs
        for quality in given.qualities
    ]
    fits = laws.Fits(pack, training)
    counted: dict[tuple[str, float], list[laws.Counts]] = {}
    for path in find_images(given.pictures):
        for quality in given.qualities:
            counts = laws.Counts(Crop(pack, middle(path, given.side), quality))
            counted.setdefault((path.parent.name, quality), []).append(counts)
    rows = [
        {
            "set": name,
            "quality": quality,
            "pictures": len(tiles),
            "wide": round(100 * fmean(tile.wide / tile.bits for tile in tiles), 1),
            "gains": laws.gains(fits, tiles),
        }
        for (name, quality), tiles in counted.items()
    ]
    return {"training": len(photographs), "rows": rows}


def _each(pack: Pack, given: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for path in find_images(given.pictures):
        for quality in given.qualities:
            work = hyper.measure if given.command == "hyper" else hyper.skips
            found = work(pack, middle(path, given.side), quality)
            rows.append({"set": path.parent.name, "picture": path.stem, "quality": quality, **found})
            print(rows[-1], flush=True)
    return {"rows": rows}


def tables_page(stored: dict[str, Any]) -> str:
    """One column a set and quality."""
    rows = stored["rows"]
    heads = ["idea", *(f"{row['set']}, {row['quality']:g}" for row in rows)]
    cells = [[idea, *(f"{row['gains'][idea]:+.2f} %" for row in rows)] for idea in rows[0]["gains"]]
    cells.append(["bits in classes that were left as they are", *(f"{row['wide']:.1f} %" for row in rows)])
    pictures = {row["set"]: row["pictures"] for row in rows}
    told = ", ".join(f"{name} ({count} pictures)" for name, count in pictures.items())
    return "\n".join([*markdown.table(heads, cells), "", f"By set and quality: {told}. {_about(stored)}"])


def hyper_page(stored: dict[str, Any]) -> str:
    """Means over the pictures, one row a quality."""
    heads = ["quality", "z", "searched", "moved", *(f"rule, {least:g} bits" for least in hyper.WORTHS)]
    return _means(stored, heads, lambda of: [
        f"{fmean(row['z'] for row in of):.1f} %",
        f"{fmean(row['searched'] for row in of):+.2f} %",
        f"{fmean(row['moved'] for row in of):.0f} %",
        *(f"{fmean(row['rules'][str(least)] for row in of):+.2f} %" for least in hyper.WORTHS),
    ])  # fmt: skip


def skips_page(stored: dict[str, Any]) -> str:
    """The same for what is skipped."""
    heads = ["quality", "beyond a step", f"of these in {hyper.FEW} channels", "squared error if they were y"]
    return _means(stored, heads, lambda of: [
        f"{fmean(row['far'] for row in of):.2f} %",
        f"{fmean(row['few'] for row in of):.0f} %",
        f"{fmean(row['error'] for row in of):+.1f} %",
    ])  # fmt: skip


def _means(
    stored: dict[str, Any], heads: list[str], cells: Callable[[list[dict[str, Any]]], list[str]]
) -> str:
    rows = stored["rows"]
    by_quality = {q: [row for row in rows if row["quality"] == q] for q in (row["quality"] for row in rows)}
    lines = markdown.table(heads, [[f"{q:g}", *cells(of)] for q, of in by_quality.items()])
    pictures = len({row["picture"] for row in rows})
    return "\n".join([*lines, "", f"Means over {pictures} pictures. {_about(stored)}"])


def _about(stored: dict[str, Any]) -> str:
    commit = (stored["commit"] or "unknown")[:13]
    return f"Pack {stored['pack']}, measured {stored['finished'][:10]} at commit `{commit}`."


PAGES = {"tables": tables_page, "hyper": hyper_page, "skips": skips_page}


if __name__ == "__main__":
    sys.exit(main())
