"""What to run and how: everything that the command line can say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calotype.bench.errors import BenchError
from calotype.bench.metrics import BASIC, check


@dataclass
class Settings:
    """What to run and how."""

    out: Path
    """Folder for the journal, the results and the report."""
    codecs: tuple[str, ...] = ("default",)
    """Names, families, ``default``, ``all``, ``name:argument`` or files of codecs."""
    qualities: dict[str, tuple[float, ...]] | None = None
    """By codec name or family, or for all others under ``*``; else each codec's own."""
    metrics: tuple[str, ...] = BASIC
    recursive: bool = False
    """Pictures in folders of folders too."""
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
    picture_names: tuple[str, ...] = ()
    """Names of those pictures; else `pictures` of them are taken at even distances."""
    picture_bpp: tuple[float, ...] = (0.25,)
    """Rates that they are shown at."""
    resume: bool = False
    only: bool = False
    """With `resume`: drop codecs of earlier runs in `out` that are not asked for now from the results."""
    retry_failed: bool = False
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self.metrics)
        if self.engine not in ("local", "ray"):
            raise BenchError(f"unknown engine {self.engine!r}: local or ray")
        for name in ("workers", "repeats", "timing_images", "pictures"):
            if getattr(self, name) < 0:
                raise BenchError(f"{name} must not be negative")
        if self.timeout <= 0 or not self.picture_bpp or min(self.picture_bpp) <= 0:
            raise BenchError("timeout and picture bpp must be above 0")
