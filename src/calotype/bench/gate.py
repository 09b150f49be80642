"""The gate of ``calotype lab promote``: a candidate pack takes the shipped one's place only if it is better.

Both are measured in one session, with real files, through the codec as people use it: by the likeness that
they were trained for (PSNR or MS-SSIM), and by how long they take to decode. Every pack that was ever
promoted stays in the history with its curve.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype import api
from calotype.bench import gate_ship
from calotype.codec import library, quality
from calotype.codec.pack import Pack, Precision
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.errors import CalotypeError, PackError

DESCRIPTION = (
    "Encode and decode pictures with a candidate pack and with the one that ships. Only if it needs fewer "
    "bits for the same PSNR, or for a pack trained for MS-SSIM or SSIMULACRA2 for the same of that (BD-rate "
    "below 0), and decodes no slower, it takes its place and is entered in the history."
)
SHIPPED = library.BUILT_IN / library.DEFAULT
HISTORY = Path("docs/results/packs/history.json")
QUALITIES = (0, 14, 28, 43, 57, 71, 86, 100)
METRICS = {"mse": "psnr", "ms-ssim": "ms_ssim", "ssimulacra2": "ssimulacra2"}
"""What packs are judged by, by the distortion that they were trained for. The first two in dB."""
TITLES = {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA2"}
SLOWER = 1.03
"""Times of one picture vary by some 10 % on a busy machine; the median of 100 ratios, by some 1 %."""
REPEATS = 25
"""Of each of four pictures."""
UNLIKE = 1.0
"""dB of PSNR by which the int8 networks may lose against the float32 ones in the trial before measuring."""

Pixels = NDArray[np.uint8]
_LIKENESS: dict[str, Callable[[Pixels, Pixels], float]] = {
    "psnr": quality.psnr,
    "ms_ssim": lambda a, b: quality.to_db(quality.ms_ssim(a, b)),
    "ssimulacra2": ssimulacra2,
}
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
        PackError: when the candidate is not fit for use, or for another distortion than the target. (A target
            that is not there, or not fit, loses.)
        BenchError: when there are no pictures.
        ValueError: when the history is not one.
        OSError: when a file cannot be read or written. On any error pack and history stay as they were.
    """
    from calotype.bench import bdrate, runner
    from calotype.records import provenance

    known = gate_ship.read(history)
    new, old = Pack(candidate), _open(target)
    gate_ship.check_places(candidate, target, history, dry_run=dry_run)
    metric = _metric(new, old)
    check(candidate)
    files = runner.find_images([images])
    pictures = [_load(file) for file in files]
    rival = old if old and old.manifest.id != new.manifest.id else None
    total = len(files) * len(QUALITIES) * (2 if rival else 1)
    steps = iter(range(1, total + 1))

    def tick() -> None:
        progress(next(steps), total)

    curve = _curve(new, pictures, metric, threads, tick)
    entry: Record = {
        "id": new.manifest.id,
        "name": new.manifest.name,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "bytes": gate_ship.size(new),
        "images": {"count": len(files), "sha256": _digest(files)},
        "metric": metric,
        "curve": curve,
        "threads": threads,
        "measured_on": provenance.hardware(),
        "commit": provenance.commit(),
        "training": new.manifest.training,
    }
    times = _times([new, rival] if rival else [new], pictures, threads)
    entry["decode_mp_per_s"] = _speed(times[0], pictures)
    if rival:
        bd = bdrate.bd_rate(_as_curve(_curve(rival, pictures, metric, threads, tick)), _as_curve(curve))
        low, ratio, high = ratios(times[0], times[1])
        entry["against"] = {
            "id": rival.manifest.id,
            "bd_rate": round(bd.value, 2),
            "range_db": [round(bd.low, 2), round(bd.high, 2)],
            "decode_mp_per_s": _speed(times[1], pictures),
            "decode_time": round(ratio, 3),
            "decode_time_quartiles": [round(low, 3), round(high, 3)],
        }
        better, reason = _judge(bd.value, ratio, slower)
    else:
        entry["against"] = None
        better, reason = (False, "it is the same pack") if old else (True, "there was no pack that works")
    if better and not dry_run:
        gate_ship.ship(new, target, history, [*known, entry])
    return {"better": better, "promoted": better and not dry_run, "reason": reason, "entry": entry}


def text(verdict: Record) -> str:
    """The verdict for people."""
    entry = verdict["entry"]
    title = TITLES[entry["metric"]]
    lines = [f"{'quality':>8}{'bpp':>10}{f'{title} dB':>12}"]
    lines += [f"{q:8g}{bpp:10.4f}{likeness:12.3f}" for q, bpp, likeness in entry["curve"]]
    if against := entry["against"]:
        low, high = against["range_db"]
        other = against["id"][:8]
        lines.append(f"BD-rate {against['bd_rate']:+.2f} % ({title}) against {other} over {low} to {high} dB")
        low, high = against["decode_time_quartiles"]
        lines.append(
            f"decodes in {against['decode_time']:.3f} times the time "
            f"(half of the ratios {low:.3f} to {high:.3f}): "
            f"{entry['decode_mp_per_s']} MP/s, the other {against['decode_mp_per_s']}"
        )
    word = "promoted" if verdict["promoted"] else "would be promoted" if verdict["better"] else "not promoted"
    return "\n".join([*lines, f"{entry['id'][:8]} {word}: {verdict['reason']}"])


def check(path: Path) -> None:
    """Every file, every network, and a picture there and back, with both kinds of networks.

    What is measured is the kind that this CPU is faster with; people's CPUs may take the other. Raises
    PackError.
    """
    y, x = np.mgrid[0:80, 0:112]
    picture = np.stack([128 + 90 * np.sin((x + c * y) / 9) for c in (0, 1, 2)], -1).astype(np.uint8)
    likeness: list[float] = []
    kinds: tuple[Precision, ...] = ("fp32", "int8")
    for precision in kinds:
        pack = Pack(path, precision=precision)
        gate_ship.check_files(pack)
        for name in pack.manifest.networks:
            pack.graph(name)
        if precision == "int8" and not any(pack.has(f"{name}.int8") for name in pack.manifest.networks):
            break
        try:
            data = api.encode(picture, quality=QUALITIES[len(QUALITIES) // 2], pack=pack, threads=1)
            decoded = np.asarray(api.decode(data, pack=pack, threads=1).convert("RGB"))
        except CalotypeError as error:
            raise PackError(f"{path}: a picture does not go through with {precision}: {error}") from error
        likeness.append(quality.psnr(picture, decoded))
    if len(likeness) == 2 and not likeness[1] > likeness[0] - UNLIKE:
        raise PackError(
            f"{path}: {likeness[1]:.1f} dB with int8 networks, {likeness[0]:.1f} dB with float32 ones"
        )


def ratios(new: NDArray[np.float64], old: NDArray[np.float64]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of new / old over pairs measured one after the other.

    A stretch in which the machine is busy slows both of a pair; one that hits one of them is an outlier.
    """
    low, middle, high = np.quantile(new / old, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


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


def _judge(bd_rate: float, slowdown: float, slower: float) -> tuple[bool, str]:
    if not bd_rate < 0:  # also when there is none: curves without a range in common
        return False, f"its BD-rate is {bd_rate:+.2f} %"
    if slowdown > slower:
        return False, f"it decodes {slowdown:.3f} times slower"
    return True, f"its BD-rate is {bd_rate:+.2f} %, and it decodes no slower"


def _curve(
    pack: Pack, pictures: Sequence[Pixels], metric: str, threads: int, tick: Callable[[], None]
) -> list[list[float]]:
    """[quality, mean bits per pixel of the files, mean likeness] at each of QUALITIES."""
    points = []
    for setting in QUALITIES:
        rates, likeness = [], []
        for pixels in pictures:
            data = api.encode(pixels, quality=setting, pack=pack, threads=threads)
            decoded = np.asarray(api.decode(data, pack=pack, threads=threads).convert("RGB"))
            rates.append(8 * len(data) / (pixels.shape[0] * pixels.shape[1]))
            likeness.append(_LIKENESS[metric](pixels, decoded))
            tick()
        points.append([setting, round(float(np.mean(rates)), 5), round(float(np.mean(likeness)), 4)])
    return points


def _times(packs: Sequence[Pack], pictures: Sequence[Pixels], threads: int) -> list[NDArray[np.float64]]:
    """Seconds to decode, [repeats, pictures] for each pack; in turns, each as often first as second."""
    setting = QUALITIES[len(QUALITIES) // 2]
    chosen = pictures[:4]
    files = [[api.encode(p, quality=setting, pack=pack, threads=threads) for p in chosen] for pack in packs]
    times = [np.zeros((REPEATS, len(chosen))) for _ in packs]
    order = range(len(packs))
    for k in order:
        api.decode(files[k][0], pack=packs[k], threads=threads)  # reads the networks
    for repeat in range(REPEATS):
        for i in range(len(chosen)):
            for k in order if (repeat + i) % 2 else reversed(order):
                start = time.perf_counter()
                api.decode(files[k][i], pack=packs[k], threads=threads)
                times[k][repeat, i] = time.perf_counter() - start
    return times


def _speed(times: NDArray[np.float64], pictures: Sequence[Pixels]) -> float:
    """Megapixels per second, by the median time of each picture."""
    pixels: int = sum(p.shape[0] * p.shape[1] for p in pictures[: times.shape[1]])
    seconds = float(np.median(times, axis=0).sum())
    return round(pixels / 1e6 / seconds, 2)


def _as_curve(points: list[list[float]]) -> Any:
    from calotype.bench import bdrate

    return bdrate.Curve([p[1] for p in points], [p[2] for p in points])


def _load(file: Path) -> Pixels:
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _open(target: Path) -> Pack | None:
    """The pack to beat; None when there is none that works."""
    try:
        pack = Pack(target)
        gate_ship.check_files(pack)
        for name in pack.manifest.networks:
            pack.graph(name)
    except PackError:
        return None
    return pack


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()[:16]
