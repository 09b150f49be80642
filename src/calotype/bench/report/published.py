"""Curves that others published, to draw under a run's own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from calotype.bench.errors import BenchError
from calotype.bench.report.curves import MeasuredCurve

KODAK = tuple(f"kodim{i:02d}" for i in range(1, 25))


@dataclass(frozen=True)
class Published:
    """A curve and where it comes from."""

    curve: MeasuredCurve
    label: str
    source: str
    note: str
    measured: bool
    """By us, at an earlier time; else by others."""


def published_curves(images: list[str], dataset: str | None = None) -> dict[str, Published]:
    """Reference mean curves on the pictures of this run, by name; none unless the run is on all 24 of Kodak,
    as means over other pictures do not compare.

    dataset: a picture set whose curves are wanted all the same; their labels then say that it is another.

    Raises:
        BenchError: for a picture set without curves.
    """
    from calotype.bench.reference import load_reference, reference_datasets, reference_names

    own = "kodak" if sorted(name.rsplit(".", 1)[0] for name in images) == list(KODAK) else None
    dataset = dataset or own
    if dataset is None:
        return {}
    if dataset not in reference_datasets():
        raise BenchError(f"no published curves of {dataset!r}; there are {', '.join(reference_datasets())}")
    other = "" if dataset == own else f" (on {dataset})"
    references = {name: load_reference(name, dataset) for name in reference_names(dataset)}
    labels = Counter(reference.label for reference in references.values())
    found = {}
    for name, reference in sorted(references.items(), key=lambda item: (item[1].kind == "measured", item[0])):
        values = {metric: tuple(points) for metric, points in reference.metrics.items()}
        if "ms_ssim" not in values and "ms_ssim_db" in values:
            values["ms_ssim"] = tuple(1 - 10 ** (-db / 10) for db in values["ms_ssim_db"])
        curve = MeasuredCurve(tuple(reference.quality), tuple(reference.bpp), values, len(KODAK))
        measured = reference.kind == "measured"
        label = (reference.label if labels[reference.label] == 1 else name) + other
        found[f"ref:{name}"] = Published(curve, label, reference.source, reference.note, measured)
    return found
