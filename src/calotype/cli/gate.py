"""The gate of ``calotype lab promote``: a candidate pack takes the shipped one's place only if it is better.

Both are measured with real files, through the codec as people use it. Every pack that was ever promoted stays
in the history with its curve, so a later candidate is compared with what was measured then.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype import api
from calotype.codec import library, manifest, quality
from calotype.codec.files import write_file
from calotype.codec.pack import Pack
from calotype.errors import PackError

DESCRIPTION = (
    "Encode and decode pictures with a candidate pack. Only if it needs fewer bits for the same PSNR than "
    "the pack that ships (BD-rate below 0) and decodes no slower, it takes its place and is entered in "
    "the history."
)
SHIPPED = library.BUILT_IN / library.DEFAULT
HISTORY = Path("docs/results/packs/history.json")
QUALITIES = (0, 14, 28, 43, 57, 71, 86, 100)
SLOWER = 1.1
"""Decode times of one pack vary this much from one measurement to the next."""
REPEATS = 5

Progress = Callable[[int, int], None]
Record = dict[str, Any]


def default_history() -> Path:
    """In the source tree that this runs from. Raises ValueError when it runs from somewhere else."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").is_file():
        raise ValueError("no source tree around the package; say where the history is with --history")
    return root / HISTORY


def promote(
    candidate: Path,
    target: Path,
    images: Path,
    history: Path,
    *,
    threads: int = 2,
    slower: float = SLOWER,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
) -> Record:
    """Judge ``candidate`` on the pictures of a folder, and if it is better, copy it to ``target``.

    slower: how many times longer it may take to decode.

    Returns the verdict: ``better``, ``reason``, ``promoted``, and ``entry``, the line of the history.

    Raises:
        PackError: when the candidate is not fit for use. (A target that is not there, or not fit, loses.)
        BenchError: when there are no pictures.
    """
    from calotype.bench import bdrate, hardware, runner

    files = runner.find_images([images])
    pictures = [_load(file) for file in files]
    known = _read(history)
    new, old = Pack(candidate), _open(target)
    before = next((e for e in reversed(known) if old and e["id"] == old.manifest.id), None)
    listing = {"count": len(files), "sha256": _digest(files)}
    measured = (
        before is None or before["images"] != listing or [p[0] for p in before["curve"]] != list(QUALITIES)
    )
    total = len(files) * len(QUALITIES) * (2 if old and measured else 1)
    steps = iter(range(1, total + 1))

    def tick() -> None:
        progress(next(steps), total)

    curve = _curve(new, pictures, threads, tick)
    entry: Record = {
        "id": new.manifest.id,
        "name": new.manifest.name,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "bytes": _size(candidate),
        "images": listing,
        "curve": curve,
        "threads": threads,
        "measured_on": hardware.hardware(),
        "commit": hardware.commit(),
        "training": new.manifest.training,
    }
    if old is None:
        entry |= {"against": None, "decode_mp_per_s": round(_speeds([new], pictures, threads)[0], 2)}
        better, reason = True, "there was no pack"
    elif old.manifest.id == new.manifest.id:
        better, reason = False, "it is the same pack"
    else:
        old_curve = _curve(old, pictures, threads, tick) if measured or before is None else before["curve"]
        bd = bdrate.bd_rate(_as_curve(old_curve), _as_curve(curve))
        speed, old_speed = _speeds([new, old], pictures, threads)
        entry["decode_mp_per_s"] = round(speed, 2)
        entry["against"] = {
            "id": old.manifest.id,
            "bd_rate": round(bd.value, 2),
            "psnr_range": [round(bd.low, 2), round(bd.high, 2)],
            "decode_mp_per_s": round(old_speed, 2),
        }
        better, reason = _judge(bd.value, old_speed / speed, slower)
    if better and not dry_run:
        _replace(candidate, list(new.manifest.files), target)
        _write(history, [*known, entry])
    return {"better": better, "promoted": better and not dry_run, "reason": reason, "entry": entry}


def text(verdict: Record) -> str:
    """The verdict for people."""
    entry = verdict["entry"]
    lines = [f"{'quality':>8}{'bpp':>10}{'PSNR':>10}"]
    lines += [f"{q:8g}{bpp:10.4f}{psnr:10.3f}" for q, bpp, psnr in entry["curve"]]
    if against := entry.get("against"):
        low, high = against["psnr_range"]
        lines.append(
            f"BD-rate {against['bd_rate']:+.2f} % against {against['id'][:8]} over {low} to {high} dB"
        )
        lines.append(f"decodes {entry['decode_mp_per_s']} MP/s, the other {against['decode_mp_per_s']}")
    word = "promoted" if verdict["promoted"] else "would be promoted" if verdict["better"] else "not promoted"
    return "\n".join([*lines, f"{entry['id'][:8]} {word}: {verdict['reason']}"])


def _judge(bd_rate: float, slowdown: float, slower: float) -> tuple[bool, str]:
    if not bd_rate < 0:  # also when there is none: curves without a range in common
        return False, f"its BD-rate is {bd_rate:+.2f} %"
    if slowdown > slower:
        return False, f"it decodes {slowdown:.2f} times slower"
    return True, f"its BD-rate is {bd_rate:+.2f} %, and it decodes no slower"


def _curve(
    pack: Pack, pictures: Sequence[NDArray[np.uint8]], threads: int, tick: Callable[[], None]
) -> list[list[float]]:
    """[quality, mean bits per pixel of the files, mean PSNR in dB] at each of QUALITIES."""
    points = []
    for setting in QUALITIES:
        rates, likeness = [], []
        for pixels in pictures:
            data = api.encode(pixels, quality=setting, pack=pack, threads=threads)
            decoded = np.asarray(api.decode(data, pack=pack, threads=threads).convert("RGB"))
            rates.append(8 * len(data) / (pixels.shape[0] * pixels.shape[1]))
            likeness.append(quality.psnr(pixels, decoded))
            tick()
        points.append([setting, round(float(np.mean(rates)), 5), round(float(np.mean(likeness)), 4)])
    return points


def _speeds(packs: Sequence[Pack], pictures: Sequence[NDArray[np.uint8]], threads: int) -> list[float]:
    """Megapixels decoded per second by each pack, in turns so that a busy machine is unfair to none."""
    chosen = pictures[:4]
    setting = QUALITIES[len(QUALITIES) // 2]
    files = [[api.encode(p, quality=setting, pack=pack, threads=threads) for p in chosen] for pack in packs]
    best = [[float("inf")] * len(chosen) for _ in packs]
    for _ in range(REPEATS):
        for i in range(len(chosen)):
            for k, pack in enumerate(packs):
                start = time.perf_counter()
                api.decode(files[k][i], pack=pack, threads=threads)
                best[k][i] = min(best[k][i], time.perf_counter() - start)
    pixels = sum(p.shape[0] * p.shape[1] for p in chosen)
    return [pixels / 1e6 / sum(times) for times in best]


def _as_curve(points: list[list[float]]) -> Any:
    from calotype.bench import bdrate

    return bdrate.Curve([p[1] for p in points], [p[2] for p in points])


def _load(file: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _open(target: Path) -> Pack | None:
    """The pack to beat; None when there is none that works."""
    try:
        pack = Pack(target)
        pack.graph("scales")
    except PackError:
        return None
    return pack


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()[:16]


def _size(pack: Path) -> int:
    return sum(f.stat().st_size for f in pack.iterdir()) if pack.is_dir() else pack.stat().st_size


def _replace(candidate: Path, files: list[str], target: Path) -> None:
    """Copy the pack; the target is the old one or the new one at any time but for the moment between two
    renames.
    """
    if not candidate.is_dir():
        raise PackError(f"{candidate}: a pack in a zip file cannot be shipped; unpack it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".promote-") as folder:
        fresh = Path(folder) / "new"
        fresh.mkdir()
        for name in (manifest.NAME, *files):
            shutil.copyfile(candidate / name, fresh / name)
        if target.exists():
            target.replace(Path(folder) / "old")
        fresh.replace(target)


def _read(history: Path) -> list[Record]:
    if not history.is_file():
        return []
    found: list[Record] = json.loads(history.read_text())["packs"]
    return found


def _write(history: Path, entries: list[Record]) -> None:
    history.parent.mkdir(parents=True, exist_ok=True)
    write_file(history, (json.dumps({"format": 1, "packs": entries}, indent=1) + "\n").encode())
