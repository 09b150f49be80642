"""Make the two folders that travel to a machine that is lent for minutes:

    python training/gpu/prepare.py --photos photos/ --out travel

OUT/1 and OUT/2 each hold the sources without packs and about half of the photographs, held-out ones in the
second; OUT/2, and OUT/1 if there is room, the averaged weights to begin with in float16.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from calotype.lab.train.state import NAME, State  # noqa: E402
from calotype.lab.train.stores import SUFFIXES  # noqa: E402
from calotype.records.script import guarded  # noqa: E402

MIB = 1 << 20
LEFT_OUT = shutil.ignore_patterns("packs", "__pycache__", "*.so", "*.pyc")


def photographs(folder: Path, quality: int | None) -> dict[str, bytes]:
    """Files by name, recompressed as AVIF 4:4:4 if ``quality`` is given and where that is smaller."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no photographs")
    names = ["_".join(p.relative_to(folder).parts) for p in paths]

    def read(path: Path) -> bytes:
        data = path.read_bytes()
        if quality is None:
            return data
        from PIL import Image

        smaller = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").save(smaller, "AVIF", quality=quality, subsampling="4:4:4", speed=6)
        return min(data, smaller.getvalue(), key=len)

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(read, paths))
    return {
        name if data == path.read_bytes() else f"{Path(name).stem}.avif": data
        for name, path, data in zip(names, paths, found, strict=True)
    }


def portions(files: dict[str, bytes], last: set[str], room: tuple[int, int]) -> list[dict[str, bytes]]:
    """The files in two halves, those of ``last`` in the second.

    Raises:
        ValueError: when they do not fit into ``room`` bytes each.
    """
    parts: list[dict[str, bytes]] = [{}, {n: d for n, d in files.items() if Path(n).stem in last}]
    free = [room[0], room[1] - sum(map(len, parts[1].values()))]
    for name, data in files.items():
        if name not in parts[1]:
            which = 0 if free[0] >= free[1] else 1
            parts[which][name] = data
            free[which] -= len(data)
    if min(free) < 0:
        total = sum(map(len, files.values())) / MIB
        raise ValueError(
            f"{total:.1f} MiB of photographs do not fit; recompress them (--quality 70) or fewer"
        )
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
    options.add_argument("--limit", type=float, default=63.0, help="MiB that travel at a time [63]")
    options.add_argument("--quality", type=int, help="recompress as AVIF of this quality")
    given = options.parse_args(arguments)
    state = State.load(given.start)
    if given.out.exists() and any(given.out.iterdir()):
        raise ValueError(f"{given.out}: not empty")
    files = photographs(given.photos, given.quality)
    folders = [given.out / "1", given.out / "2"]
    for folder in folders:
        shutil.copytree(ROOT / "src", folder / "src", ignore=LEFT_OUT)
        shutil.copytree(ROOT / "training" / "gpu", folder / "training" / "gpu", ignore=LEFT_OUT)
        (folder / "photos").mkdir()
    weights = folders[1] / "start" / NAME
    state.average().save(weights)
    limit, held_out = given.limit * MIB, set(state.data.get("held out", ()))
    free = [int(limit - size(folder)) for folder in folders]
    both = free[0] - weights.stat().st_size
    try:
        parts = portions(files, held_out, (both, free[1]))
        shutil.copytree(folders[1] / "start", folders[0] / "start")
    except ValueError:
        parts = portions(files, held_out, (free[0], free[1]))
        print("no room for the weights in the first: the learning rate cannot be tried there")
    for folder, part in zip(folders, parts, strict=True):
        for name, data in part.items():
            (folder / "photos" / name).write_bytes(data)
        print(f"{folder}: {size(folder) / MIB:.1f} MiB, {len(part)} photographs")
    return 0


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
