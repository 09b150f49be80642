"""Run codecs x pictures x qualities, keep every measurement in the journal, and write the results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from calotype.bench import codecs, history, results
from calotype.bench.engine import LocalEngine, RayEngine, cores
from calotype.bench.errors import BenchError, nearest
from calotype.bench.journal import NAME, Journal
from calotype.bench.names import find_images, unique_names
from calotype.bench.selection import select
from calotype.bench.settings import Settings
from calotype.bench.task import MEASURE, PICTURE, PROBE, TIMING, Outcome, Task
from calotype.records.provenance import commit, hardware, libraries, now

__all__ = ["Run", "Settings", "find_images", "run"]

SPEED_BPP = 0.5  # codecs are timed at their point nearest to this mean rate
NEAR = 1.1  # a picture whose rate is off by more than this factor is reported

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total)."""


class Run:
    """One run of the benchmark in one folder."""

    def __init__(self, images: Sequence[Path], settings: Settings, progress: Progress | None = None) -> None:
        self.settings, self.progress = settings, progress or (lambda what, done, total: None)
        self.images = [str(path) for path in find_images(images, settings.recursive, settings.out)]
        self.names = unique_names(self.images)
        """What pictures are called in the results, by path."""
        self._check_picture_names()
        self.selection = select(settings.codecs, settings.qualities)
        self.missing = self.selection.missing
        if (settings.out / NAME).exists() and not settings.resume:
            raise BenchError(
                f"{settings.out} already holds a run: add --resume to go on with it, or choose another --out"
            )
        self.journal = Journal(settings.out)
        self.before = history.earlier(settings.out) if settings.resume else None
        self.started = now()
        self.measured = 0
        """Tasks done in this run, as against those found in the journal."""
        self.notes: list[str] = []
        """What a person should know of the results; filled by the run."""

    def __call__(self) -> dict[str, Any]:
        """Do everything that is not done yet; write and return the results."""
        with closing(self.journal):
            workers = self.settings.workers or cores()
            engine = self._ray(workers) if self.settings.engine == "ray" else self._local(workers)
            with closing(engine):
                about = self._about(engine.describe())
                self.journal.announce(about)
                self._do(engine, "opening pictures", [Task(PROBE, path) for path in self.images], again=True)
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
            return results.write(self.settings.out, self._results(about))

    # ---- tasks ----

    def _measure_tasks(self, good: list[str]) -> list[Task]:
        # Picture by picture: the time left is then well estimated, and a part of a run is a run on fewer
        # pictures.
        metrics, repeats = self.settings.metrics, self.settings.repeats
        return [
            Task(MEASURE, image, spec, q, metrics, repeats, identity=self._identity(image, spec))
            for image in good
            for spec in self.codecs
            for q in self.selection.qualities(spec)
        ]

    def _picture_tasks(self, good: list[str]) -> list[Task]:
        """For each picture to show, each rate and each codec; a codec that does not reach the rate shows its
        nearest.
        """
        return [
            Task(
                PICTURE,
                image,
                spec,
                metrics=self.settings.metrics,
                bpp=bpp,
                ladder=ladder,
                identity=self._identity(image, spec),
            )
            for image in self._shown(good)
            for bpp in self.settings.picture_bpp
            for spec in self.codecs
            if (ladder := tuple(sorted(self._rates(image, spec).items())))
        ]

    def _shown(self, good: list[str]) -> list[str]:
        wanted, count = self.settings.picture_names, self.settings.pictures
        if wanted:
            return [image for image in good if self._called(image) & set(wanted)]
        return good[:: max(1, len(good) // max(1, count))][:count]

    def _called(self, image: str) -> set[str]:
        """Names that a person may use for a picture."""
        return {self.names[image], Path(self.names[image]).stem, image}

    def _check_picture_names(self) -> None:
        known = set().union(*(self._called(image) for image in self.images))
        for name in self.settings.picture_names:
            if name not in known:
                raise BenchError(f"--pictures {name}: no such picture{nearest(name, known)}")

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
        waiting = [t for t in tasks if again or not self._done(t)]
        done = len(tasks) - len(waiting)
        self.progress(what, done, len(tasks))
        for task, outcome in engine.run(waiting):
            if task.kind == PICTURE:
                names = (self.names[task.image], self.selection.names[task.codec])
                outcome = results.keep_picture(self.settings.out, task, names, outcome)
            self.journal.add(task, outcome)
            done += 1
            self.measured += not again
            self.progress(what, done, len(tasks))

    def _done(self, task: Task) -> bool:
        outcome = self.journal.outcome(task)
        if outcome is not None and task.kind == PICTURE and outcome.data:
            kept = (self.settings.out / outcome.data["file"]).is_file()  # somebody may have deleted it
            return kept and self.journal.has(task)
        return self.journal.has(task, self.settings.retry_failed)

    # ---- what is known ----

    @property
    def codecs(self) -> dict[str, codecs.Codec]:
        """The codecs that run, by spec."""
        return self.selection.codecs

    def _identity(self, image: str, spec: str) -> str:
        """Changes when the picture's bytes or the codec's version or settings change."""
        parts = (self._probed[image]["sha256"], self.selection.versions[spec], self.codecs[spec].settings)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _good_images(self) -> list[str]:
        outcomes = {path: self.journal.outcome(Task(PROBE, path)) for path in self.images}
        self._probed = {image: o.data for image, o in outcomes.items() if o is not None and not o.failure}
        return list(self._probed)

    def _rates(self, image: str, spec: str) -> dict[float, float]:
        """quality -> bpp of what was measured on this picture."""
        identity = self._identity(image, spec)
        rates = {}
        for q in self.selection.qualities(spec):
            outcome = self.journal.outcome(Task(MEASURE, image, spec, q, identity=identity))
            if outcome is not None and not outcome.failure:
                rates[q] = outcome.data["bpp"]
        return rates

    def _about(self, engine: dict[str, Any]) -> dict[str, Any]:
        """What the journal and the results say of this run."""
        more = {"repeats": self.settings.repeats, "timeout_s": self.settings.timeout}
        return {
            "started": self.started,
            "command": list(self.settings.command),
            "commit": commit(),
            "hardware": hardware(),
            "engine": {**engine, **more},
        }

    def _results(self, about: dict[str, Any]) -> dict[str, Any]:
        good = list(self._probed)
        tasks = [Task(PROBE, path) for path in self.images]
        tasks += self._measure_tasks(good) + self._picture_tasks(good)
        if self.settings.timing_images:
            tasks += [t for threads in (1, 0) for t in self._timing_tasks(good, threads)]
        pairs: list[tuple[Task, Outcome]] = [
            (t, o) for t in tasks if (o := self.journal.outcome(t)) is not None
        ]
        runs = history.sessions(self.journal, self.before, about)
        last = {
            key: runs[-1][key] for key in ("commit", "hardware", "engine")
        }  # of who measured, not of who asks
        head = {**about, **last, **history.duration(runs), "libraries": libraries(), "sessions": runs}
        names = self.selection.names
        described = {names[spec]: self.selection.about(spec) for spec in self.codecs}
        found = results.assemble(
            head, described, self.missing, self.settings.metrics, pairs, {**names, **self.names}
        )
        self.notes = history.merge(found, self.before, self.settings.only) + _far(found["pictures"])
        found["command"] = history.repeat(about["command"], found, list(described))
        return found

    def _local(self, workers: int) -> LocalEngine:
        return LocalEngine(workers, self.settings.timeout)

    def _ray(self, workers: int) -> RayEngine:
        return RayEngine(workers, self.settings.timeout, self.settings.ray_address)


def run(images: Sequence[Path], settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """Run the benchmark and return the results, which are also in ``settings.out`` as results.json and
    *.csv.
    """
    return Run(images, settings, progress)()


def _far(pictures: list[dict[str, Any]]) -> list[str]:
    """A line for each codec whose pictures are not at the rate that was asked for."""
    found: dict[tuple[str, float], list[str]] = {}
    for p in pictures:
        wanted = p.get("wanted_bpp")
        if wanted and not 1 / NEAR <= p["bpp"] / wanted <= NEAR:
            found.setdefault((p["codec"], wanted), []).append(f"{p['image']} at {p['bpp']:.3f}")
    return [
        f"{codec} has no quality near {wanted:g} bpp, its nearest is shown: {', '.join(where)} bpp"
        for (codec, wanted), where in found.items()
    ]
