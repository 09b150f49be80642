"""The report page: gathers everything it shows into one JSON and puts it, the script and Plotly into one
file.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import statistics
from importlib import resources
from pathlib import Path
from typing import Any

from calotype.bench import results
from calotype.bench.errors import BenchError
from calotype.bench.metrics import METRICS
from calotype.bench.report.curves import Table, bd_tables
from calotype.bench.report.pictures import Look, gather
from calotype.bench.report.published import Published
from calotype.bench.report.style import styles

ANCHORS = (
    "vtm-444",
    "vvc",
    "avif-444-psnr",
    "avif-444",
    "hevc-444",
    "webp",
    "jpeg-420",
)  # first of these in the run
RUN = (
    "started",
    "finished",
    "active_seconds",
    "commit",
    "hardware",
    "libraries",
    "engine",
    "sessions",
)
MAX_IMAGES = 300  # pictures with curves of their own in the page


def choose_anchor(found: dict[str, Any], published: list[str], wanted: str | None) -> str:
    """The anchor asked for, else the best known codec of the run. Raises BenchError for one that is not
    there.
    """
    names = [*found["codecs"], *published]
    if wanted is not None:
        if wanted not in names:
            why = "" if published else " (published curves need the 24 Kodak pictures, or --reference)"
            raise BenchError(f"anchor {wanted!r} is not in this run{why}; it has {', '.join(names)}")
        return wanted
    return next((a for a in ANCHORS if a in names), names[0])


def payload(
    folder: Path,
    found: dict[str, Any],
    table: Table,
    published: dict[str, Published],
    anchor: str,
    look: Look | None = None,
) -> dict[str, Any]:
    """Everything the page shows; `look` says how the pictures in it are stored."""
    families = {name: about["family"] for name, about in found["codecs"].items()}
    images = table.images[:MAX_IMAGES]
    mean = {codec: curve for codec in table.codecs if (curve := table.mean_curve(codec))}
    references = {name: p.curve for name, p in published.items()}
    return {
        "anchor": anchor,
        "run": {key: found.get(key) for key in RUN},
        "command": _command(found),
        "metrics": [
            {"id": m, **about, "db": METRICS[m].to_db is not None} for m, about in found["metrics"].items()
        ],
        "codecs": found["codecs"],
        "published": {
            name: {"label": p.label, "source": p.source, "note": p.note, "measured": p.measured}
            for name, p in published.items()
        },
        "styles": styles(families),
        "missing": found["missing"],
        "failures": found["failures"],
        "images": [{k: i[k] for k in ("name", "width", "height", "note")} for i in found["images"]],
        "mean": {name: curve.to_json() for name, curve in {**mean, **references}.items()},
        "single": {
            image: {c: curve.to_json() for c in table.codecs if (curve := table.image_curve(c, image))}
            for image in images
        },
        "bd": bd_tables(table, references),
        "speed": speed(found),
        "pictures": gather(folder, found, look or Look()),
    }


def speed(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Medians over pictures of the timing pass, for each codec and thread setting.

    Without any timing pass: processor time of the main pass at the point nearest to 0.5 bpp, which other work
    on the machine disturbs least.  The two clocks do not compare, so codecs that were left out of a timing
    pass have no row.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in found["timing"]:
        groups.setdefault((point["codec"], str(point["threads"])), []).append(point)
    timed = {codec for codec, _ in groups}
    for name in () if timed else found["codecs"]:
        points = [m for m in found["measurements"] if m["codec"] == name]
        rates: dict[float, list[float]] = {}
        for m in points:
            rates.setdefault(m["quality"], []).append(m["bpp"])
        if rates:
            nearest = min(rates, key=lambda q: abs(statistics.fmean(rates[q]) - 0.5))
            groups[name, "1"] = [m for m in points if m["quality"] == nearest]
    pixels = {i["name"]: i["width"] * i["height"] / 1e6 for i in found["images"]}
    rows = []
    for (codec, threads), points in groups.items():
        clock = "seconds" if codec in timed else "cpu_seconds"
        row: dict[str, Any] = {"codec": codec, "threads": threads, "clock": clock, "pictures": len(points)}
        row["bpp"] = statistics.fmean(p["bpp"] for p in points)
        for way in ("encode", "decode"):
            row[f"{way}_mps"] = statistics.median(
                pixels[p["image"]] / max(p[way][clock], 1e-6) for p in points
            )
            row[f"{way}_cpu_mps"] = statistics.median(
                pixels[p["image"]] / max(p[way]["cpu_seconds"], 1e-6) for p in points
            )
            peaks = [p[way]["peak_mib"] for p in points if p[way]["peak_mib"] is not None]
            row[f"{way}_mib"] = max(peaks, default=None)
        rows.append(row)
    return rows


def write(path: Path, data: dict[str, Any]) -> Path:
    """Write the page: no file beside it and no network is needed to read it."""
    from plotly.offline import get_plotlyjs

    def part(name: str) -> str:
        return resources.files(__package__).joinpath(name).read_text("utf-8")

    count = len(data["images"])
    title = f"{len(data['codecs'])} image codecs on {count} picture{'s' if count != 1 else ''}"
    text = part("page.html")
    numbers = {name: value for name, value in data.items() if name != "pictures"}
    for mark, value in {
        "%%TITLE%%": html.escape(title),
        "%%STYLE%%": part("page.css"),
        "%%SCRIPT%%": part("page.js"),
        "%%PLOTLY%%": packed(get_plotlyjs()),
        "%%DATA%%": packed(_json(numbers)),
        # "<" could end the script element, or begin another. Last, so that no mark in it is taken for one.
        "%%PICTURES%%": _json(data["pictures"]).replace("<", "\\u003c"),
    }.items():
        text = text.replace(mark, value)
    results.write_text(path, text)
    return path


def _command(found: dict[str, Any]) -> str:
    import shlex

    return shlex.join(found["command"]) if found["command"] else ""


def packed(text: str) -> str:
    """gzip in base64: a fifth of the size; the page unpacks it. The same text always gives the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
