"""Quality as eyes see it: fitting what a pack's manifest says of it, and how well it holds on other pictures.

    python benchmarks/quality.py measure PACK PHOTOS... --out FILE [--minutes 15]
    python benchmarks/quality.py fit FILE PACK
    python benchmarks/quality.py glance PACK PHOTOS... --out FILE [--minutes 15]
    python benchmarks/quality.py trust FILE PACK
    python benchmarks/quality.py check PICTURES... [--qualities 40 60 80] [--every 1] [--middle 32 64]
        [--out docs/results/quality.json]
    python benchmarks/quality.py table docs/results/quality.json docs/guide.md
    python benchmarks/quality.py table docs/results/quality-middle.json docs/guide.md

``measure`` encodes photographs (what training saw; of large ones a part or the whole, reduced, as chance has
it) at every trained level and stores features (calotype.codec.visual) and SSIMULACRA2, for as long as it may;
photographs that are stored for the same pack are not measured again. ``fit`` makes ``visual`` of it by ridge
regression, to which odd photographs count less, and writes it into the pack's manifest.json; a pack exported
anew from the same weights takes the same file. Photographs measured before decoder or rounding changed may
stay in the file: under ``before``, each time with ``shifts``, what is to be added to their level for each of
`SCORES`, and with ``levels`` where those were not the trained ones.

``glance`` stores by how much photographs, and those windows of them that are looked at
(calotype.codec.glance), score more than the pack foretells, at its level for each of `GLANCED`; ``trust``
adds to ``visual`` what follows for others. A ``fit`` comes before, and takes away what a ``trust`` has added.

``check`` encodes pictures with the default pack as users do, or with ``--middle`` their middles of these
sides in pixels, and stores the SSIMULACRA2 of each; ``table``
writes how far it spreads between the marks ``<!-- benchmark:NAME -->``, that of the file, and
``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.bench import tables
from calotype.bench.measure import middle
from calotype.bench.names import find_images
from calotype.bitstream import Header
from calotype.codec import aim, glance, library, manifest, tiles, visual
from calotype.codec.analysis import Analysis
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.files import write_file
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.pack import STEPS
from calotype.records import markdown
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of

SCORES = (20, 30, 40, 50, 60, 70, 80)
GLANCED = (20, 40, 60)
"""Of the scores those at which windows are looked at; between them lies what lies between."""
SIDES, LARGE, REDUCED, SHARE = (1024, 768), 900_000, (600_000, 1_200_000, 2_000_000), 0.45
"""Of photographs above `LARGE` pixels a part of `SIDES`; of that share the whole at one of `REDUCED`."""
RIDGE = 0.01
BELIEVED = (1.0, 99.0)
"""Percentiles of the photographs' levels, beyond which none is believed."""
ENDS = 25.0, 4.0
"""Points of SSIMULACRA2 per trained level below the lowest and above the highest, to go on straight there."""
FAR, ROUNDS = 60.0, 8
"""Photographs missed by more levels than that count less, the farther the less; so often is looked."""
BELIEVED_MISS, ODD = 8.0, 3.0
"""The farthest miss of windows, as in native/glance.hpp; and what a photograph may be off beside it, likewise
in points.
"""
Floats = NDArray[np.float64]


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("pack", type=Path)
    measuring.add_argument("photos", nargs="+", type=Path)
    measuring.add_argument("--out", type=Path, required=True)
    measuring.add_argument("--minutes", type=float, default=15)
    glancing = commands.add_parser("glance")
    glancing.add_argument("pack", type=Path)
    glancing.add_argument("photos", nargs="+", type=Path)
    glancing.add_argument("--out", type=Path, required=True)
    glancing.add_argument("--minutes", type=float, default=15)
    fitting = commands.add_parser("fit")
    fitting.add_argument("file", type=Path)
    fitting.add_argument("pack", type=Path)
    trusting = commands.add_parser("trust")
    trusting.add_argument("file", type=Path)
    trusting.add_argument("pack", type=Path)
    checking = commands.add_parser("check")
    checking.add_argument("pictures", nargs="+", type=Path)
    checking.add_argument("--qualities", nargs="+", type=float, default=[40, 60, 80])
    checking.add_argument("--every", type=int, default=1)
    checking.add_argument("--middle", nargs="+", type=int, default=[])
    checking.add_argument("--out", type=Path, default=Path("docs/results/quality.json"))
    writing = commands.add_parser("table")
    writing.add_argument("results", type=Path)
    writing.add_argument("documents", nargs="+", type=Path)
    given = options.parse_args(arguments)
    words = ["python", "benchmarks/quality.py", *(sys.argv[1:] if arguments is None else arguments)]
    if given.command == "measure":
        measure(given, words)
    elif given.command == "fit":
        _write_visual(given.pack, made_of(given.file, fit))
    elif given.command == "glance":
        look(given, words)
    elif given.command == "trust":
        stored = made_of(given.pack / manifest.NAME, dict)["visual"]
        _write_visual(given.pack, stored | {"glance": made_of(given.file, trust)})
    elif given.command == "check":
        check(given, words)
    else:
        tables.write(given, table, given.results.stem)


def _write_visual(pack: Path, found: dict[str, Any]) -> None:
    path = pack / manifest.NAME
    text = json.dumps(made_of(path, dict) | {"visual": found}, indent=1) + "\n"
    manifest.parse(text.encode(), str(pack))
    write_file(path, text.encode(), overwrite=True)


def measure(given: argparse.Namespace, words: list[str]) -> None:
    """Store features and the scores at all trained levels, photograph by photograph, as chance has it."""
    pack, end = Pack(given.pack), time.monotonic() + 60 * given.minutes
    names = find_images(given.photos)
    random.Random(0).shuffle(names)
    stored = made_of(given.out, dict) if given.out.exists() else {}
    same = stored.get("pack") == pack.manifest.id[:8]
    rows: list[dict[str, Any]] = stored["photographs"] if same else []
    known, kept = {row["photo"] for row in rows}, {k: v for k, v in stored.items() if k == "before"}
    for path in names:
        if time.monotonic() > end:
            break
        if path.stem not in known:
            pixels = _part(path)
            scores = [_score(pixels, pack, k) for k in range(0, pack.manifest.max_level + 1, STEPS)]
            found = [round(float(value), 5) for value in features(pack, pixels)]
            rows.append({"photo": path.stem, "features": found, "scores": [round(s, 2) for s in scores]})
        about = {**provenance(words), "pack": pack.manifest.id[:8]}
        text = json.dumps({**about, "photographs": rows, **(kept if same else {})})
        write_file(given.out, text.replace('{"photo', '\n {"photo').encode() + b"\n", overwrite=True)


def look(given: argparse.Namespace, words: list[str]) -> None:
    """Store what photographs and windows of them miss, as chance has it."""
    pack, end = Pack(given.pack), time.monotonic() + 60 * given.minutes
    names = find_images(given.photos)
    random.Random(0).shuffle(names)
    rows: list[dict[str, Any]] = []
    for path in names:
        if time.monotonic() > end:
            break
        found = _misses(pack, _part(path))
        if found is not None:
            count, *misses = found
            windows, pictures = ([round(miss, 2) for miss in part] for part in misses)
            rows.append({"photo": path.stem, "count": count, "windows": windows, "pictures": pictures})
        about = {**provenance(words), "pack": pack.manifest.id[:8], "scores": list(GLANCED)}
        text = json.dumps({**about, "photographs": rows}).replace('{"photo', '\n {"photo')
        write_file(given.out, text.encode() + b"\n", overwrite=True)


def _misses(pack: Pack, pixels: NDArray[np.uint8]) -> tuple[int, list[float], list[float]] | None:
    """How many windows are looked at, and by how much they, and the picture, score more than foretold; None
    where there are none.
    """
    height, width = pixels.shape[:2]
    with tiles.pool(1) as pool:
        header = Header(width, height, 0, pack.key, pack.manifest.tile)
        analysis = Analysis(pixels, header, pack, (1, 1), pool)
        windows, whole = aim.looked(analysis)
        if not windows:
            return None
        forecast, own = (
            aim.forecast(pack, sums) for sums in (whole, visual.total(window.sums for window in windows))
        )
        levels = [forecast.level_of(score) for score in GLANCED]
        seen = [glance.score(analysis, windows, level) - own.quality_of(level) for level in levels]
    return len(windows), seen, [_score(pixels, pack, level) - score for level, score in zip(levels, GLANCED)]


def features(pack: Pack, pixels: NDArray[np.uint8]) -> Floats:
    """What the encoder makes of a picture of one tile."""
    whole = tiles.latent_box(tiles.Box(0, 0, pixels.shape[1], pixels.shape[0]))
    y = pack.encoder.analysis(tiles.cut(pixels, whole)[0])[None]
    apart = visual.APART if y[0, 0].size > visual.FEW else 1
    return visual.features([visual.sums(y, pack.visual_measures, apart)], pack.manifest.levels)


def _part(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as file:
        image = file.convert("RGB")
    chance, (width, height) = random.Random(path.stem), image.size
    if width * height <= LARGE:
        return np.asarray(image)
    if chance.random() < 1 - SHARE:
        w, h = min(width, SIDES[0]), min(height, SIDES[1])
        left, top = chance.randrange(width - w + 1), chance.randrange(height - h + 1)
        return np.asarray(image.crop((left, top, left + w, top + h)))
    scale = min(1.0, (chance.choice(REDUCED) / (width * height)) ** 0.5)
    size = round(width * scale), round(height * scale)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _score(pixels: NDArray[np.uint8], pack: Pack, level: int) -> float:
    data = encode(Picture(pixels), level=level, pack=pack, threads=1).data
    return ssimulacra2(pixels, decode(data, pack=pack, threads=1).picture.pixels)


def fit(stored: dict[str, Any]) -> dict[str, Any]:
    """The field ``visual``, from what ``measure`` stored."""
    groups = [g for g in (stored, *stored.get("before", [])) if g["photographs"]]
    rows = [row for group in groups for row in group["photographs"]]
    x = np.array([row["features"] for row in rows])
    levels = np.array(
        [
            _levels(row["scores"], group.get("levels")) + group.get("shifts", 0)
            for group in groups
            for row in group["photographs"]
        ]
    )
    mean, spread = x.mean(0), x.std(0)
    z = np.column_stack(((x - mean) / spread, np.ones(len(x))))
    weights = np.column_stack([_robust(z, column) for column in levels.T])
    slopes = weights[:-1] / spread[:, None]
    constants = weights[-1] - mean @ slopes
    highest = STEPS * (max(len(row["scores"]) for row in rows) - 1)
    bounds = np.percentile(levels, BELIEVED, axis=0).clip(0, highest).round()
    return {
        "scores": list(SCORES),
        "weights": [[round(float(v), 2) for v in (*slopes[:, k], constants[k])] for k in range(len(SCORES))],
        "bounds": bounds.T.tolist(),
    }


def trust(stored: dict[str, Any]) -> list[list[float]]:
    """The field ``glance`` of ``visual``, from what ``glance`` stored."""
    rows = stored["photographs"]
    count, windows, pictures = (
        np.array([row[key] for row in rows]) for key in ("count", "windows", "pictures")
    )
    found = np.array([_trust(count, *pair) for pair in zip(windows.T, pictures.T)])
    between = [np.interp(SCORES, stored["scores"], column) for column in found.T]
    return [[round(float(bias), 2), round(float(share), 3)] for bias, share in zip(*between)]


def _trust(count: Floats, windows: Floats, pictures: Floats) -> tuple[float, float]:
    """By how much windows miss when pictures do not, and the share of a further miss that pictures would have
    if there were very many windows; all [photographs]. Odd photographs count less.
    """
    middle = np.median(windows)
    believed = count / (count + 1)
    missed = np.clip(windows - middle, -BELIEVED_MISS, BELIEVED_MISS)
    share, constant = _robust(np.column_stack((believed * missed, np.ones(len(count)))), pictures, ODD)
    return middle - constant / (share * believed.mean()), share


def _robust(z: Floats, levels: Floats, far: float = FAR) -> Floats:
    """Weights that give the levels [photographs] of z [photographs, features, the last of them 1]: ridge
    regression with Huber's loss, so that a few odd photographs do not bend it.
    """
    count, penalty = np.ones(len(z)), RIDGE * np.diag([*np.ones(z.shape[1] - 1), 0.0])
    for _ in range(ROUNDS):
        much = z.T * count
        weights = np.linalg.solve(much @ z + count.sum() * penalty, much @ levels)
        count = np.minimum(1, far / np.maximum(np.abs(z @ weights - levels), far))
    return np.asarray(weights)


def _levels(scores: list[float], at: list[int] | None = None) -> Floats:
    """The level for each of `SCORES`, straight between the levels that were measured and beyond them.

    at: those, `STEPS` apart; the trained ones by default
    """
    rising = np.maximum.accumulate(np.array(scores) + 1e-6 * np.arange(len(scores)))
    first = at[0] if at else 0
    where = first + STEPS * np.arange(-1, len(scores) + 1)
    return np.interp(SCORES, [rising[0] - ENDS[0], *rising, rising[-1] + ENDS[1]], where)


def check(given: argparse.Namespace, words: list[str]) -> None:
    """Store the score of every picture at every quality."""
    pack = library.load()
    rows: list[dict[str, Any]] = []
    paths = find_images(given.pictures)[:: given.every]
    pictures = [(path.resolve().parent.name, path, _read(path)) for path in paths]
    if given.middle:
        pictures = [
            (f"{name}, middle {side}", path, _middle(picture, side))
            for side in given.middle
            for name, path, picture in pictures
        ]
    for quality in given.qualities:
        for name, path, picture in pictures:
            made = encode(picture, quality=quality)
            bpp = 8 * len(made.data) / (picture.width * picture.height)
            row = {"set": name, "picture": path.stem, "quality": quality}
            rows.append(
                {**row, "level": made.level, "bpp": round(bpp, 4), "score": _like(picture, made.data)}
            )
            print(rows[-1], flush=True)
    about = {**provenance(words), "pack": f"{pack.manifest.name} {pack.manifest.id[:8]}"}
    text = json.dumps(about | {"files": rows}, indent=1) + "\n"
    write_file(given.out, text.encode(), overwrite=True)


def _read(path: Path) -> Picture:
    with Image.open(path) as image:
        return Picture.from_pil(image.convert("RGB"))


def _middle(picture: Picture, side: int) -> Picture:
    return Picture(np.ascontiguousarray(middle(picture.pixels, (side, side))))


def _like(picture: Picture, data: bytes) -> float:
    return round(ssimulacra2(picture.pixels, decode(data).picture.pixels), 2)


def table(stored: dict[str, Any]) -> str:
    """Mean, standard deviation and ends of the scores, by set and quality, as Markdown."""
    rows, cells = stored["files"], []
    for name in dict.fromkeys(row["set"] for row in rows):
        for quality in sorted({row["quality"] for row in rows}):
            found = np.array([r["score"] for r in rows if (r["set"], r["quality"]) == (name, quality)])
            cells.append([f"{name}, {len(found)}", f"{quality:g}", *_spread(found)])
    heads = ["set, pictures", "quality", "mean", "standard deviation", "from, to"]
    about = (
        f"SSIMULACRA2 of real files, one encoding each. Pack {stored['pack']}, "
        f"measured {stored['finished'][:10]} at commit `{(stored['commit'] or 'unknown')[:13]}`."
    )
    return "\n".join([*markdown.table(heads, cells), "", *markdown.wrapped(about)])


def _spread(scores: Floats) -> list[str]:
    return [
        f"{scores.mean():.1f}",
        f"{scores.std(ddof=1):.1f}",
        f"{scores.min():.1f} to {scores.max():.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
