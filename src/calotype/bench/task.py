"""A task is one measurement to make; an outcome is what came of it. Both are plain data that cross
processes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

# What a task does:
PROBE = "probe"  # open a picture: its size and hash
MEASURE = "measure"  # encode and decode once, with all metrics
PICTURE = "picture"  # encode at a wanted bpp and keep the decoded picture for the report
TIMING = "timing"  # encode and decode alone on the machine, several times


@dataclass(frozen=True)
class Task:
    """One piece of work for a worker process."""

    kind: str
    image: str
    """Path of the picture."""
    codec: str = ""
    """Spec of the codec, see calotype.bench.codecs.get."""
    quality: float = 0.0
    metrics: tuple[str, ...] = ()
    repeats: int = 0
    """Timed runs of encode and of decode after the first; their median is kept. 0: the first is timed."""
    threads: int = 1
    """1, or 0 for all."""
    bpp: float = 0.0
    """Wanted bits per pixel (PICTURE)."""
    ladder: tuple[tuple[float, float], ...] = ()
    """Known (quality, bpp) pairs of this picture (PICTURE)."""
    identity: str = ""
    """Hash of the picture and the codec's version and settings, set by the planner."""

    def key(self) -> str:
        """Equal keys mean the same measurement: a resumed run does not repeat it. Metrics are compared
        apart.
        """
        parts = [
            self.kind,
            self.image if self.kind == PROBE else "",
            self.codec,
            self.quality,
            self.threads,
            self.bpp,
        ]
        return hashlib.sha256(json.dumps([*parts, self.identity]).encode()).hexdigest()[:20]


@dataclass
class Outcome:
    """`data` on success; otherwise `failure` says of what kind, and `message` what happened."""

    data: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    """corrupt-image, codec-error, wrong-size, metric-error, crash, timeout or lost-node."""
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
