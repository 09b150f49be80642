"""The report page: gathers everything it shows into one JSON and puts it, the script and Plotly into one
file.
"""

from __future__ import annotations

import base64
import html
import io
import json
import statistics
from importlib import resources
from pathlib import Path
from typing import Any

from calotype.bench.errors import BenchError
from calotype.bench.metrics import METRICS
from calotype.bench.report.curves import Table, bd_tables
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
MAX_IMAGES = 300  # pictures with curves of their own in the page


def choose_anchor(found: dict[str, Any], published: list[str], wanted: str | None) -> str:
    """The anchor asked for, else the best known codec of the run. Raises BenchError for one that is not
    there.
    """
    names = [*found["codecs"], *published]
    if wanted is not None:
        if wanted not in names:
            raise BenchError(f"anchor {wanted!r} is not in this run; it has {', '.join(names)}")
        return wanted
    return next((a for a in ANCHORS if a in names), names[0])


def payload(
    folder: Path, found: dict[str, Any], table: Table, published: dict[str, Published], anchor: str
) -> dict[str, Any]:
    """Everything the page shows."""
    families = {name: about["family"] for name, about in found["codecs"].items()}
    images = table.images[:MAX_IMAGES]
    mean = {codec: curve for codec in table.codecs if (curve := table.mean_curve(codec))}
    references = {name: p.curve for name, p in published.items()}
    return {
        "anchor": anchor,
        "run": {
            key: found.get(key)
            for key in ("started", "finished", "commit", "hardware", "libraries", "engine")
        },
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
        "pictures": _pictures(folder, found),
    }


def speed(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Medians over pictures of the timing pass, for each codec and thread setting.

    Without a timing pass: processor time of the main pass at the point nearest to 0.5 bpp, which other work
    on the machine disturbs least.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in found["timing"]:
        groups.setdefault((point["codec"], str(point["threads"])), []).append(point)
    clock = "seconds"
    if not groups:
        clock = "cpu_seconds"
        for name in found["codecs"]:
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
    for mark, value in {
        "%%TITLE%%": html.escape(title),
        "%%STYLE%%": part("page.css"),
        "%%SCRIPT%%": part("page.js"),
        "%%PLOTLY%%": get_plotlyjs(),
        # "<" could end the script element, or begin another. Last, so that no mark in it is taken for one.
        "%%DATA%%": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    }.items():
        text = text.replace(mark, value)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
    return path


def _command(found: dict[str, Any]) -> str:
    import shlex

    return shlex.join(found["command"]) if found["command"] else ""


def _pictures(folder: Path, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The pictures to set side by side, as data URIs; the originals come from where they were read."""
    from PIL import Image

    from calotype.bench.measure import load, middle

    paths = {i["name"]: i["path"] for i in found["images"]}
    shown: dict[str, dict[str, Any]] = {}
    for picture in found["pictures"]:
        file = folder / picture["file"]
        if not file.is_file():
            continue
        name = picture["image"]
        if name not in shown:
            shown[name] = {"image": name, "versions": []}
            try:
                out = io.BytesIO()
                original = middle(load(paths[name])[0])
                Image.fromarray(original).save(out, "WEBP", lossless=True, quality=60, method=4)
                height, width = original.shape[:2]
                shown[name].update(width=width, height=height)
                shown[name]["versions"].append({"name": "original", "src": _uri(out.getvalue())})
            except OSError:
                pass  # the pictures have been moved since the run
        version = {key: picture[key] for key in ("quality", "bpp", "metrics") if key in picture}
        shown[name]["versions"].append({"name": picture["codec"], "src": _uri(file.read_bytes()), **version})
    return list(shown.values())


def _uri(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode()
