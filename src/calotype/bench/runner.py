"""Run codecs x pictures x qualities, keep every measurement in the journal, and write the results."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calotype.bench import codecs, results
from calotype.bench.engine import LocalEngine, RayEngine, cores
from calotype.bench.errors import BenchError
from calotype.bench.hardware import commit, hardware, libraries
from calotype.bench.journal import NAME, Journal
from calotype.bench.metrics import BASIC, METRICS
from calotype.bench.task import MEASURE, PICTURE, PROBE, TIMING, Outcome, Task

SUFFIXES = (".png", ".ppm", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".avif")
SPEED_BPP = 0.5  # codecs are timed at their point nearest to this mean rate

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total)."""


@dataclass
class Settings:
    """What to run and how."""

    out: Path
    """Folder for the journal, the results and the report."""
    codecs: tuple[str, ...] = ("default",)
    """Names, families, ``default``, ``all``, ``name:argument`` or files of codecs."""
    qualities: dict[str, tuple[float, ...]] | None = None
    """By codec name, or for all others under ``*``; else each codec's own."""
    metrics: tuple[str, ...] = BASIC
    engine: str = "local"
    """``local`` or ``ray``."""
    ray_address: str | None = None
    """Address of a running Ray cluster, or ``auto``; None starts a local one."""
    workers: int = 0
    """0: one per core."""
    timeout: float = 600.0
    """Seconds for one task: all its encodes, decodes and metrics."""
    repeats: int = 0
    """Timed runs after the first in the main pass; its times are rough, as all cores are busy."""
    timing_images: int = 3
    """Pictures of the separate, undisturbed timing pass; 0 leaves it out."""
    timing_repeats: int = 5
    pictures: int = 3
    """Pictures shown side by side in the report; 0 leaves them out."""
    picture_bpp: float = 0.25
    resume: bool = False
    retry_failed: bool = False
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [m for m in self.metrics if m not in METRICS]:
            raise BenchError(f"unknown metric {unknown[0]!r}; known: {', '.join(METRICS)}")
        if absent := [f"{m}: {why}" for m in self.metrics if (why := METRICS[m].missing())]:
            raise BenchError(f"cannot measure {absent[0]}")
        if self.engine not in ("local", "ray"):
            raise BenchError(f"unknown engine {self.engine!r}: local or ray")
        for name in ("workers", "repeats", "timing_images", "pictures"):
            if getattr(self, name) < 0:
                raise BenchError(f"{name} must not be negative")
        if self.timeout <= 0 or self.picture_bpp <= 0:
            raise BenchError("timeout and picture bpp must be above 0")


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as given; of folders, every picture in them, sorted. Raises BenchError when there are none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise BenchError(f"no pictures in {path} (looked for {' '.join(SUFFIXES)})")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise BenchError(f"no such picture or folder: {path}")
    if not found:
        raise BenchError("no pictures given")
    return list(dict.fromkeys(found))


class Run:
    """One run of the benchmark in one folder."""

    def __init__(self, images: Sequence[Path], settings: Settings, progress: Progress | None = None) -> None:
        self.settings, self.progress = settings, progress or (lambda what, done, total: None)
        self.images = find_images(images)
        self.codecs, self.missing = self._codecs()
        if (settings.out / NAME).exists() and not settings.resume:
            raise BenchError(
                f"{settings.out} already holds a run: add --resume to go on with it, or choose another --out"
            )
        self.journal = Journal(settings.out)
        self.started = _now()
        self.measured = 0
        """Tasks done in this run, as against those found in the journal."""

    def __call__(self) -> dict[str, Any]:
        """Do everything that is not done yet; write and return the results."""
        with closing(self.journal):
            workers = self.settings.workers or cores()
            make = {"local": self._local, "ray": self._ray}[self.settings.engine]
            with closing(make(workers)) as engine:
                described = engine.describe()
                self._do(engine, "opening pictures", [Task(PROBE, str(p)) for p in self.images], again=True)
                good = self._good_images()
                self._do(engine, "measuring", self._measure_tasks(good))
                self._do(engine, "pictures for the report", self._picture_tasks(good))
            if self.settings.timing_images:
                # Alone on the machine, in fresh processes: on one core, then with all threads.
                for threads in (1, 0):
                    alone = LocalEngine(
                        1, self.settings.timeout, one_thread=threads == 1, one_core=threads == 1
                    )
                    with closing(alone):
                        what = "timing, one thread" if threads == 1 else "timing, all threads"
                        self._do(alone, what, self._timing_tasks(good, threads))
            return results.write(self.settings.out, self._results(described, workers))

    # ---- tasks ----

    def _measure_tasks(self, good: list[str]) -> list[Task]:
        # Picture by picture: the time left is then well estimated, and a part of a run is a run on fewer
        # pictures.
        return [
            Task(
                MEASURE,
                image,
                spec,
                q,
                self.settings.metrics,
                self.settings.repeats,
                identity=self._identity(image, spec),
            )
            for image in good
            for spec in self.codecs
            for q in self._qualities(spec)
        ]

    def _picture_tasks(self, good: list[str]) -> list[Task]:
        tasks: list[Task] = []
        metrics = self.settings.metrics
        for image in good[:: max(1, len(good) // max(1, self.settings.pictures))][: self.settings.pictures]:
            for spec in self.codecs:
                ladder = tuple(sorted(self._rates(image, spec).items()))
                bpp = self.settings.picture_bpp
                if (
                    ladder
                    and min(b for _, b in ladder) <= bpp * 1.2
                    and max(b for _, b in ladder) >= bpp / 1.2
                ):
                    identity = self._identity(image, spec)
                    tasks.append(
                        Task(PICTURE, image, spec, 0.0, metrics, bpp=bpp, ladder=ladder, identity=identity)
                    )
        return tasks

    def _timing_tasks(self, good: list[str], threads: int) -> list[Task]:
        tasks = []
        for spec in self.codecs:
            rates = [r for image in good if (r := self._rates(image, spec))]
            if not rates:
                continue
            shared = set.intersection(*(set(r) for r in rates))
            if not shared:
                continue
            quality = min(shared, key=lambda q: abs(sum(r[q] for r in rates) / len(rates) - SPEED_BPP))
            repeats = self.settings.timing_repeats
            tasks += [
                Task(TIMING, image, spec, quality, (), repeats, threads, identity=self._identity(image, spec))
                for image in good[: self.settings.timing_images]
            ]
        return tasks

    def _do(self, engine: LocalEngine | RayEngine, what: str, tasks: list[Task], again: bool = False) -> None:
        """Run the tasks that the journal has not; with `again`, all."""
        waiting = [t for t in tasks if again or not self.journal.has(t, self.settings.retry_failed)]
        done = len(tasks) - len(waiting)
        self.progress(what, done, len(tasks))
        for task, outcome in engine.run(waiting):
            if task.kind == PICTURE:
                outcome = results.keep_picture(self.settings.out, task, self.codecs[task.codec].name, outcome)
            self.journal.add(task, outcome)
            done += 1
            self.measured += not again
            self.progress(what, done, len(tasks))

    # ---- what is known ----

    def _codecs(self) -> tuple[dict[str, codecs.Codec], list[dict[str, str]]]:
        """Usable codecs by spec, and those that are missing with the reason and the cure."""
        usable, missing = {}, []
        for spec in codecs.expand(list(self.settings.codecs)):
            codec = codecs.get(spec)
            if (reason := codec.missing()) is None:
                usable[spec] = codec
            else:
                missing.append({"codec": codec.name, "reason": reason, "install": codec.install})
        if not usable:
            raise BenchError(
                f"none of the codecs can run here: {missing[0]['codec']}: {missing[0]['reason']}"
            )
        self._versions = {spec: codec.version() for spec, codec in usable.items()}
        return usable, missing

    def _qualities(self, spec: str) -> tuple[float, ...]:
        chosen = self.settings.qualities or {}
        codec = self.codecs[spec]
        for name in (spec, codec.name, codec.family, "*"):
            if name in chosen:
                return chosen[name]
        return codec.qualities

    def _identity(self, image: str, spec: str) -> str:
        """Changes when the picture's bytes or the codec's version or settings change."""
        parts = (self._probed[image]["sha256"], self._versions[spec], self.codecs[spec].settings)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _good_images(self) -> list[str]:
        outcomes = {str(p): self.journal.outcome(Task(PROBE, str(p))) for p in self.images}
        self._probed = {image: o.data for image, o in outcomes.items() if o is not None and not o.failure}
        return list(self._probed)

    def _rates(self, image: str, spec: str) -> dict[float, float]:
        """quality -> bpp of what was measured on this picture."""
        identity = self._identity(image, spec)
        rates = {}
        for q in self._qualities(spec):
            outcome = self.journal.outcome(Task(MEASURE, image, spec, q, identity=identity))
            if outcome is not None and not outcome.failure:
                rates[q] = outcome.data["bpp"]
        return rates

    def _results(self, engine: dict[str, Any], workers: int) -> dict[str, Any]:
        good = list(self._probed)
        tasks = (
            [Task(PROBE, str(p)) for p in self.images] + self._measure_tasks(good) + self._picture_tasks(good)
        )
        if self.settings.timing_images:
            tasks += [t for threads in (1, 0) for t in self._timing_tasks(good, threads)]
        pairs: list[tuple[Task, Outcome]] = [
            (t, o) for t in tasks if (o := self.journal.outcome(t)) is not None
        ]
        head = {
            "started": self.started,
            "finished": _now(),
            "command": list(self.settings.command),
            "commit": commit(),
            "hardware": hardware(),
            "libraries": libraries(),
            "engine": {**engine, "repeats": self.settings.repeats, "timeout_s": self.settings.timeout},
        }
        about = {
            codec.name: {
                "spec": spec,
                "family": codec.family,
                "settings": codec.settings,
                "version": self._versions[spec],
                "quality_unit": codec.quality_unit,
                "qualities": list(self._qualities(spec)),
                "complexity": codec.complexity(),
            }
            for spec, codec in self.codecs.items()
        }
        names = {spec: codec.name for spec, codec in self.codecs.items()}
        return results.assemble(head, about, self.missing, self.settings.metrics, pairs, names)

    def _local(self, workers: int) -> LocalEngine:
        return LocalEngine(workers, self.settings.timeout)

    def _ray(self, workers: int) -> RayEngine:
        return RayEngine(workers, self.settings.timeout, self.settings.ray_address)


def run(images: Sequence[Path], settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """Run the benchmark and return the results, which are also in ``settings.out`` as results.json and
    *.csv.
    """
    return Run(images, settings, progress)()


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
