"""The journal of a run: one JSON object a line, only ever appended to, so an interrupt costs nothing that was
measured.

Each line is ``{"key", "task", "outcome", "at"}``, or ``{"session"}`` before the first measurement of each run
that measured something. A line cut short by a crash or a full disk is dropped on reading, and the next line
starts afresh.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calotype.bench.errors import BenchError
from calotype.bench.task import PROBE, Outcome, Task
from calotype.records.provenance import now

NAME = "journal.jsonl"


class Journal:
    """What is already known of a run, and the file to which more is added. One process writes at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.lines: dict[str, dict[str, Any]] = {}
        """The last line of each key."""
        self.dropped = 0
        """Lines that could not be read."""
        self.sessions: list[dict[str, Any]] = []
        """The runs that measured something: what they said of themselves, ``finished`` and ``tasks``."""
        self.earlier = 0
        """Measurements from before there was a line for each run."""
        self._about: dict[str, Any] | None = None
        for line in _read(self.path) if self.path.exists() else ():
            if line is None:
                self.dropped += 1
            elif "session" in line:
                self._begin(line["session"])
            else:
                self.lines[line["key"]] = line
                self._count(line)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        except OSError as error:
            raise BenchError(f"cannot write to {folder}: {error.strerror}") from error
        if self._file.tell() and not self.path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")  # the last line was cut short
            self._file.flush()
        self._lock()

    def has(self, task: Task, retry_failed: bool = False) -> bool:
        """Whether the task is done: the same key, with at least the metrics asked for."""
        line = self.lines.get(task.key())
        if line is None:
            return False
        if line["outcome"]["failure"]:
            return not retry_failed
        data = line["outcome"]["data"]
        known = {*data.get("metrics", ()), *data.get("metric_errors", ())}
        return set(task.metrics) <= known

    def outcome(self, task: Task) -> Outcome | None:
        line = self.lines.get(task.key())
        return None if line is None else Outcome(**line["outcome"])

    def announce(self, about: dict[str, Any]) -> None:
        """Say what the run that begins is: ``started`` and whatever tells it apart. Written with its first
        measurement.
        """
        self._about = about

    def add(self, task: Task, outcome: Outcome) -> None:
        """Write one line to the disk, now."""
        if self._about is not None and task.kind != PROBE:
            self._write({"session": self._about})
            self._begin(self._about)
            self._about = None
        key = task.key()
        line = {"key": key, "task": _short(task), "outcome": outcome.to_json(), "at": now()}
        self._write(line)
        self.lines[key] = line
        self._count(line)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _begin(self, about: dict[str, Any]) -> None:
        self.sessions.append({**about, "finished": about["started"], "tasks": 0})

    def _count(self, line: dict[str, Any]) -> None:
        if line["task"]["kind"] == PROBE:
            return
        if not self.sessions:
            self.earlier += 1
            return
        self.sessions[-1]["finished"] = line.get("at", self.sessions[-1]["finished"])
        self.sessions[-1]["tasks"] += 1

    def close(self) -> None:
        self._file.close()

    def _lock(self) -> None:
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: no lock
            pass
        except OSError:
            raise BenchError(f"another run is writing to {self.path.parent}") from None


def _short(task: Task) -> dict[str, Any]:
    return {name: value for name, value in asdict(task).items() if value not in ("", 0.0, (), [])} | {
        "quality": task.quality,
        "threads": task.threads,
    }


def _read(path: Path) -> Iterator[dict[str, Any] | None]:
    for text in path.read_bytes().splitlines():
        try:
            line = json.loads(text)
            if text.strip():
                known = {"key", "task", "outcome"} <= line.keys() or "started" in line["session"]
                yield line if known else None
        except (ValueError, AttributeError, KeyError, TypeError, UnicodeDecodeError):
            yield None
