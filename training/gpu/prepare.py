"""Make the two folders that travel to a machine that is lent for minutes:

    python training/gpu/prepare.py --photos photos/ --out travel --cache cache

OUT/1 and OUT/2 each hold the sources without packs, about half of the photographs, held-out ones in the
second, and the averaged weights to begin with in float16.  Where the photographs are too large, those with
most bits per pixel are recompressed as AVIF 4:4:4, no more of them and no further than it takes; held-out
ones stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from calotype.lab.train.state import NAME, State  # noqa: E402
from calotype.lab.train.stores import SUFFIXES  # noqa: E402
from calotype.records.script import guarded  # noqa: E402

MIB = 1 << 20
SLACK = 1 << 18
"""Bytes of the room that stay free: files do not divide into two halves that are exactly even."""
QUALITIES = (88, 85, 80, 75, 70)
"""Of AVIF, tried in this order."""
LEFT_OUT = shutil.ignore_patterns("packs", "__pycache__", "*.so", "*.pyc", ".*")


def photographs(folder: Path) -> dict[str, bytes]:
    """Files by name; those with most bits per pixel first."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        with Image.open(path) as image:
            bits = path.stat().st_size / (image.width * image.height)
        found.append((bits, "_".join(path.relative_to(folder).parts), path.read_bytes()))
    if not found:
        raise ValueError(f"{folder}: no photographs")
    return {name: data for _, name, data in sorted(found, key=lambda entry: entry[0], reverse=True)}


def squeezed(files: dict[str, bytes], fixed: set[str], room: int, cache: Path | None) -> dict[str, bytes]:
    """The files, recompressed one after the other until they take ``room`` bytes; not the stems ``fixed``.

    Raises:
        ValueError: when that is not enough.
    """
    found, total, begun = dict(files), sum(map(len, files.values())), time.monotonic()
    for quality in QUALITIES:
        done = 0
        for name, data in files.items():
            if total <= room:
                break
            if Path(name).stem not in fixed:
                smaller = recompressed(data, quality, cache)
                total -= max(0, len(found[name]) - len(smaller))
                found[name] = min(found[name], smaller, key=len)
                done += 1
        if done:
            told = f"{done} recompressed with quality {quality}: {total / MIB:.1f} MiB"
            print(f"{told}, {time.monotonic() - begun:.0f} s", flush=True)
    if total > room:
        raise ValueError(f"{total / MIB:.1f} MiB of photographs do not fit into {room / MIB:.1f}; fewer do")
    return {name if data is files[name] else f"{Path(name).stem}.avif": data for name, data in found.items()}


def recompressed(data: bytes, quality: int, cache: Path | None) -> bytes:
    """A photograph as AVIF; kept in ``cache``."""
    kept = cache / f"{hashlib.sha256(data).hexdigest()[:24]}-{quality}.avif" if cache else None
    if kept and kept.is_file():
        return kept.read_bytes()
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        options = {"quality": quality, "subsampling": "4:4:4", "speed": 6, "max_threads": 1}
        image.convert("RGB").save(smaller, "AVIF", **options)
    if kept:
        new = kept.with_suffix(".new")
        new.write_bytes(smaller.getvalue())
        new.replace(kept)
    return smaller.getvalue()


def portions(files: dict[str, bytes], last: set[str], room: list[int]) -> list[dict[str, bytes]]:
    """The files in two parts that leave as much of ``room`` bytes free in both, those of ``last`` in the
    second.
    """
    parts: list[dict[str, bytes]] = [{}, {n: d for n, d in files.items() if Path(n).stem in last}]
    free = [room[0], room[1] - sum(map(len, parts[1].values()))]
    for name, data in sorted(files.items(), key=lambda entry: len(entry[1]), reverse=True):
        if name not in parts[1]:
            which = 0 if free[0] >= free[1] else 1
            parts[which][name] = data
            free[which] -= len(data)
    return parts


@guarded
def main(arguments: list[str]) -> int:
    """Write both folders."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--photos", type=Path, required=True)
    options.add_argument("--from", dest="start", type=Path, default=ROOT / "training" / "photo")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--limit", type=float, default=62.0, help="MiB in each folder [62]")
    options.add_argument(
        "--weights", type=float, default=13.0, help="MiB to leave for weights, if they are smaller [13]"
    )
    options.add_argument("--cache", type=Path, help="keep recompressed photographs here, for a second time")
    options.add_argument("--wheels", type=Path, help="a folder with Pillow's wheel, for OUT/2")
    given = options.parse_args(arguments)
    state = State.load(given.start)
    if given.out.exists() and any(given.out.iterdir()):
        raise ValueError(f"{given.out}: not empty")
    if given.cache:
        given.cache.mkdir(parents=True, exist_ok=True)
    files = photographs(given.photos)
    folders, room = [given.out / "1", given.out / "2"], []
    for folder in folders:
        shutil.copytree(ROOT / "src", folder / "src", ignore=LEFT_OUT)
        shutil.copytree(ROOT / "training" / "gpu", folder / "training" / "gpu", ignore=LEFT_OUT)
        if given.wheels and folder == folders[1]:
            shutil.copytree(given.wheels, folder / "wheels")
        weights = folder / "start" / NAME
        state.average().save(weights)
        spare = max(0.0, given.weights * MIB - weights.stat().st_size)
        room.append(int(given.limit * MIB - size(folder) - spare) - SLACK)
    held_out = set(state.data.get("held out", ()))
    print(f"{len(held_out & {Path(name).stem for name in files})} of {len(held_out)} held out are there")
    parts = portions(squeezed(files, held_out, sum(room), given.cache), held_out, room)
    for folder, part in zip(folders, parts, strict=True):
        (folder / "photos").mkdir()
        for name, data in part.items():
            (folder / "photos" / name).write_bytes(data)
        print(f"{folder}: {size(folder) / MIB:.2f} MiB, {len(part)} photographs")
        if size(folder) > given.limit * MIB:
            raise ValueError(f"{folder}: larger than {given.limit:g} MiB")
    return 0


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
