"""The gate of ``calotype lab promote``: a candidate pack takes the shipped one's place only if it is better.

Both are measured in one session, with real files, through the codec as people use it, on one or more sets of
pictures: by the likeness that they were trained for (PSNR, MS-SSIM or SSIMULACRA2), and by how long they take
to decode. Every pack that was ever promoted stays in the history with its curves, and every pack that was
released in the package, beside the one that took its place: files name it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calotype import api
from calotype.bench import gate_measure, gate_ship
from calotype.bench.gate_measure import QUALITIES, REPEATS
from calotype.codec import library, metrics
from calotype.codec.pack import Pack
from calotype.errors import CalotypeError, PackError

DESCRIPTION = (
    "Encode and decode sets of pictures with a candidate pack and with the one that ships. Only if on every "
    "set it needs fewer bits for the same PSNR, or for a pack trained for MS-SSIM or SSIMULACRA2 for the "
    "same of that (BD-rate below 0), and decodes no slower, it takes its place and is entered in the "
    "history; a pack that was released stays beside it."
)
SHIPPED = library.BUILT_IN / library.DEFAULT
HISTORY = Path("docs/results/packs/history.json")
METRICS = {"mse": "psnr", "ms-ssim": "ms_ssim", "ssimulacra2": "ssimulacra2"}
"""What packs are judged by, by the distortion that they were trained for. """
TITLES = {"psnr": "PSNR dB", "ms_ssim": "MS-SSIM dB", "ssimulacra2": "SSIMULACRA2"}
SLOWER = 1.03
"""Times of one picture vary by some 10 % on a busy machine; the median of 100 ratios, by some 1 %."""
LIKE = 12.0
"""dB of PSNR that the picture of the trial before measuring has at least: noise has less."""

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
    folders: Sequence[Path],
    history: Path,
    *,
    threads: int = 2,
    slower: float = SLOWER,
    repeats: int = REPEATS,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
) -> Record:
    """Judge ``candidate`` on the pictures of each folder, and if it is better, copy it to ``target``.

    folders: sets of pictures, each judged by itself; the first one's first four are also timed.
    slower: how many times longer it may take to decode.
    repeats: how often each of those is decoded with each pack; a fifth of that, how often encoded.

    Returns the verdict: ``better``, ``reason``, ``promoted``, ``replaces``, which pack and what becomes of it
    (None of none), and ``entry``, the line of the history.

    Raises:
        PackError: when the candidate is not fit for use, or for another distortion than the target. (A target
            that is not there, or not fit, loses.)
        BenchError: when a folder has no pictures.
        ValueError: when the history is not one, or two folders have one name.
        OSError: when a file cannot be read or written. On any error pack and history stay as they were.
    """
    from calotype.records import provenance

    known = gate_ship.read(history)
    new, old = Pack(candidate), _open(target)
    kept = gate_ship.kept_at(old, target, known) if old and old.key != new.key else None
    gate_ship.check_places(candidate, target, history, kept, dry_run=dry_run)
    metric = _metric(new, old)
    check(candidate)
    sets = gate_measure.read_sets(folders)
    rival = old if old and old.manifest.files != new.manifest.files else None
    packs = [new, rival] if rival else [new]
    total = sum(len(s.files) for s in sets) * len(QUALITIES) * len(packs)
    steps = iter(range(1, total + 1))

    def tick() -> None:
        progress(next(steps), total)

    measured = [[gate_measure.points(p, s.pictures, metric, threads, tick) for p in packs] for s in sets]
    entry: Record = {
        "id": new.manifest.id,
        "name": new.manifest.name,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "bytes": gate_ship.size(new),
        "metric": metric,
        "sets": {
            s.name: {"count": len(s.files), "sha256": s.digest(), "curve": gate_measure.curve(points[0])}
            for s, points in zip(sets, measured)
        },
        "threads": threads,
        "measured_on": provenance.hardware(),
        "commit": provenance.commit(),
        "training": new.manifest.training,
    }
    speeds = _speeds(packs, sets[0].pictures, threads, repeats)
    entry |= speeds[0]
    if rival:
        gains = {s.name: gate_measure.compare(*points) for s, points in zip(sets, measured)}
        entry["against"] = {"id": rival.manifest.id, "sets": gains, **speeds[1]}
        better, reason = _judge(gains, speeds[1]["decode_time"], slower)
    else:
        entry["against"] = None
        better, reason = (False, "it is the same pack") if old else (True, "there was no pack that works")
    replaces = _replaces(target, old, kept)
    if better and not dry_run:
        gate_ship.ship(new, target, history, [*known, entry], kept)
    return {
        "better": better,
        "promoted": better and not dry_run,
        "reason": reason,
        "replaces": replaces if better else None,
        "entry": entry,
    }


def text(verdict: Record) -> str:
    """The verdict for people: a table for each set, then the times."""
    entry = verdict["entry"]
    title = TITLES[entry["metric"]]
    against = entry["against"]
    lines = []
    for name, measured in entry["sets"].items():
        lines += [
            f"{name}, {measured['count']} picture{'s' * (measured['count'] > 1)}",
            f"{'quality':>8}{'bpp':>10}{title:>13}",
        ]
        lines += [f"{q:8g}{bpp:10.4f}{likeness:13.3f}" for q, bpp, likeness in measured["curve"]]
        if against:
            gain = against["sets"][name]
            low, high = gain["range"]
            lines.append(
                f"BD-rate {_percent(gain['bd_rate'])} against {against['id'][:8]} over {low} to {high} "
                f"({title}); mean of the pictures' own {_percent(gain['bd_rate_per_image'])}"
            )
        lines.append("")
    for does in ("decode", "encode") if against else ():
        low, high = against[f"{does}_time_quartiles"]
        lines.append(
            f"{does}s in {against[f'{does}_time']:.3f} times the time "
            f"(half of the ratios {low:.3f} to {high:.3f}): "
            f"{entry[f'{does}_mp_per_s']} MP/s, the other {against[f'{does}_mp_per_s']}"
        )
    word = "promoted" if verdict["promoted"] else "would be promoted" if verdict["better"] else "not promoted"
    lines.append(f"{entry['id'][:8]} {word}: {verdict['reason']}")
    if verdict["replaces"]:
        lines.append(f"it replaces {verdict['replaces']}")
    return "\n".join(lines)


def check(path: Path) -> None:
    """Every file, every network, and a picture there and back. Raises PackError."""
    y, x = np.mgrid[0:80, 0:112]
    picture = np.stack([128 + 90 * np.sin((x + c * y) / 9) for c in (0, 1, 2)], -1).astype(np.uint8)
    pack = Pack(path)
    gate_ship.check_files(pack)
    _load(pack)
    try:
        data = api.encode(picture, quality=QUALITIES[len(QUALITIES) // 2], pack=pack, threads=1)
        decoded = np.asarray(api.decode(data, pack=pack, threads=1).convert("RGB"))
    except CalotypeError as error:
        raise PackError(f"{path}: a picture does not go through: {error}") from error
    found = metrics.psnr(picture, decoded)
    if not found > LIKE:
        raise PackError(f"{path}: a picture comes back unlike itself, with {found:.1f} dB")


def _metric(new: Pack, old: Pack | None) -> str:
    distortion = new.manifest.distortion
    if distortion not in METRICS:
        known = ", ".join(METRICS)
        raise PackError(f"pack {new.path}: trained for {distortion!r}; only {known} can be judged")
    if old and old.manifest.distortion != distortion:
        raise PackError(
            f"pack {new.path}: trained for {distortion}, the one in {old.path} for "
            f"{old.manifest.distortion}; choose another --target"
        )
    return METRICS[distortion]


def _judge(gains: dict[str, Record], slowdown: float, slower: float) -> tuple[bool, str]:
    told = ", ".join(f"{_percent(gain['bd_rate'])} on {name}" for name, gain in gains.items())
    # None: curves without a range in common.
    if not all(gain["bd_rate"] is not None and gain["bd_rate"] < 0 for gain in gains.values()):
        return False, f"its BD-rate is {told}"
    if slowdown > slower:
        return False, f"it decodes {slowdown:.3f} times slower"
    return True, f"its BD-rate is {told}, and it decodes no slower"


def _speeds(
    packs: Sequence[Pack], pictures: Sequence[gate_measure.Pixels], threads: int, repeats: int
) -> list[Record]:
    """Megapixels per second of each pack; of the second also how many times its time the first one takes."""
    speeds: list[Record] = [{} for _ in packs]
    for does, measure in (("decode", gate_measure.times), ("encode", gate_measure.encode_times)):
        seconds = measure(packs, pictures, threads, repeats)
        for found, one in zip(speeds, seconds):
            found[f"{does}_mp_per_s"] = gate_measure.speed(one, pictures)
        if len(packs) > 1:
            low, ratio, high = gate_measure.ratios(*seconds)
            speeds[1][f"{does}_time"] = round(ratio, 3)
            speeds[1][f"{does}_time_quartiles"] = [round(low, 3), round(high, 3)]
    return speeds


def _replaces(target: Path, old: Pack | None, kept: Path | None) -> str | None:
    if not target.exists():
        return None
    if old is None:
        return f"what is in {target}, which does not work and is deleted"
    key = old.manifest.id[:8]
    return f"{key}, which was released and stays in {kept}" if kept else f"{key}, which is deleted"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.2f} %"


def _open(target: Path) -> Pack | None:
    """The pack to beat; None when there is none that works."""
    try:
        pack = Pack(target)
        gate_ship.check_files(pack)
        _load(pack)
    except PackError:
        return None
    return pack


def _load(pack: Pack) -> None:
    """Everything that it computes with. Raises PackError."""
    _ = pack.coder, pack.decoder, pack.encoder
