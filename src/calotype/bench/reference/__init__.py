"""Rate-distortion curves that others published, and curves of classical codecs that we measured: facts with
sources.

``curves.json`` holds the mean curves, one per line; ``regenerate.py`` writes it. Every curve names its
source. Notes on single curves say what to be careful about. Curves compare only on the same picture set.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from importlib import resources

from calotype.bench.bdrate import Curve

__all__ = ["ReferenceCurve", "load_reference", "reference_datasets", "reference_names"]


@dataclass(frozen=True)
class ReferenceCurve:
    """One mean curve over a picture set. Lists have one entry per point; a metric that was not reported is
    absent.
    """

    name: str
    """Unique within the picture set."""
    dataset: str
    """The picture set: ``kodak`` (24 pictures), ``tecnick``, ``clic2020-professional``, ..."""
    label: str
    """For legends."""
    kind: str
    """``published-classical``, ``published-learned`` or ``measured`` (by us)."""
    source: str
    """Where the numbers were read, or the program and settings that made them."""
    bpp: list[float]
    """Bits per pixel of whole files."""
    metrics: dict[str, list[float]]
    """By the names of `calotype.bench.metrics`: ``psnr_rgb``, ``psnr_y``, ``ms_ssim``, ``ms_ssim_db``.

    ``ms_ssim_db`` is the dB value of the mean MS-SSIM; papers that report dB only took their own mean.
    """
    quality: list[str] = field(default_factory=list)
    """The codec's quality setting at each point, where known."""
    encode_s: list[float] = field(default_factory=list)
    """Seconds per picture, as reported, on the reporter's machine: never comparable between sources."""
    decode_s: list[float] = field(default_factory=list)
    url: str = ""
    note: str = ""
    """What to be careful about."""

    def curve(self, metric: str = "psnr_rgb") -> Curve:
        """The points for `bd_rate`; ``ms_ssim`` gives the dB scale. `KeyError` when it was not reported."""
        metric = "ms_ssim_db" if metric == "ms_ssim" else metric
        if metric not in self.metrics:
            raise KeyError(f"{self.name} on {self.dataset} has no {metric}; it has {', '.join(self.metrics)}")
        return Curve(self.bpp, self.metrics[metric])


def load_reference(name: str, dataset: str = "kodak") -> ReferenceCurve:
    """The curve called `name` on `dataset`. `KeyError`, naming near misses, when there is none."""
    try:
        return _curves()[dataset, name]
    except KeyError:
        near = [n for n in reference_names(dataset) if name in n] or reference_names(dataset)
        known = ", ".join(near[:8]) or f"no curves; data sets: {', '.join(reference_datasets())}"
        raise KeyError(f"no reference curve {name!r} on {dataset!r}; there are: {known}") from None


def reference_names(dataset: str = "kodak", kind: str = "") -> list[str]:
    """Names of the curves on `dataset`, sorted; `kind` keeps those whose kind starts with it."""
    return sorted(c.name for c in _curves().values() if c.dataset == dataset and c.kind.startswith(kind))


def reference_datasets() -> list[str]:
    """Picture sets that have curves."""
    return sorted({dataset for dataset, _ in _curves()})


@functools.lru_cache(maxsize=1)
def _curves() -> dict[tuple[str, str], ReferenceCurve]:
    text = resources.files(__name__).joinpath("curves.json").read_text("utf-8")
    curves = [ReferenceCurve(**fields) for fields in json.loads(text)["curves"]]
    return {(c.dataset, c.name): c for c in curves}
