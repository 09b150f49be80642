"""The results of a run: one documented JSON and two CSV tables (docs/benchmark.md, "Results")."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calotype.bench.errors import BenchError
from calotype.bench.measure import INFINITE
from calotype.bench.metrics import METRICS
from calotype.bench.task import MEASURE, PICTURE, PROBE, TIMING, Outcome, Task

SCHEMA, SCHEMA_VERSION = "calotype-bench", 1
NAME = "results.json"
PICTURES = "pictures"  # folder of the decoded pictures for the report


def assemble(
    head: dict[str, Any],
    codecs: dict[str, Any],
    missing: list[dict[str, str]],
    metrics: Sequence[str],
    pairs: Sequence[tuple[Task, Outcome]],
    names: dict[str, str],
) -> dict[str, Any]:
    """Put the outcomes into the shape of the results file. `names` maps codec specs and paths to names."""
    images, measurements, timing, pictures, failures = [], [], [], [], []
    for task, outcome in pairs:
        image, codec = names[task.image], names.get(task.codec)
        if outcome.failure:
            where = {
                "codec": codec,
                "image": image,
                "quality": task.quality if codec else None,
                "task": task.kind,
            }
            failures.append({**where, "kind": outcome.failure, "message": outcome.message})
            continue
        point = {"codec": codec, "image": image, "quality": task.quality}
        if task.kind == PROBE:
            images.append({"name": image, "path": task.image, **outcome.data})
        elif task.kind == MEASURE:
            measurements.append({**point, **_rounded(outcome.data)})
            for metric, message in outcome.data["metric_errors"].items():
                if message == INFINITE:  # lossless: nothing has failed
                    continue
                where = {**point, "task": task.kind, "kind": "metric-error"}
                failures.append({**where, "message": f"{metric}: {message}"})
        elif task.kind == TIMING:
            timing.append({**point, "threads": task.threads or "all", **_rounded(outcome.data)})
        elif task.kind == PICTURE:
            pictures.append({**point, "wanted_bpp": task.bpp, **outcome.data})
    about = {
        m: {
            "label": METRICS[m].label,
            "unit": METRICS[m].unit,
            "better": METRICS[m].direction,
            "plane": METRICS[m].plane,
            "definition": METRICS[m].source,
            "version": METRICS[m].version(),
        }
        for m in metrics
    }
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        **head,
        "codecs": dict(codecs),
        "missing": missing,
        "metrics": about,
        "images": images,
        "measurements": measurements,
        "timing": timing,
        "pictures": pictures,
        "failures": failures,
    }


def _rounded(data: dict[str, Any]) -> dict[str, Any]:
    """Times and memory to six digits: no clock is better, and the files are a fifth smaller."""
    costs = {
        way: {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in data[way].items()}
        for way in ("encode", "decode")
    }
    return {**data, **costs}


def write(folder: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Write results.json, measurements.csv and timing.csv; returns the results."""
    write_text(folder / NAME, dump(results))
    _csv(folder / "measurements.csv", [_flat(m) for m in results["measurements"]])
    _csv(folder / "timing.csv", [_flat(t) for t in results["timing"]])
    return results


def dump(results: dict[str, Any]) -> str:
    """JSON with one record a line: half as long as indented JSON, and as good to compare line by line."""

    def short(value: Any) -> str:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))

    fields = []
    for name, value in results.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(short(item) for item in value) + "\n]"
        elif isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
            text = "{\n" + ",\n".join(f"{short(k)}:{short(v)}" for k, v in value.items()) + "\n}"
        else:
            text = short(value)
        fields.append(f"{short(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def keep_picture(folder: Path, task: Task, names: tuple[str, str], outcome: Outcome) -> Outcome:
    """Put the pictures of a PICTURE task into files; the outcome then has their names instead.

    names: of the picture and of the codec, for people; the hash in front keeps files apart.
    """
    if "webp" not in outcome.data:
        return outcome
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    data = dict(outcome.data)
    stem = _safe(names[0])
    for field, file in (
        ("webp", f"{stem}-{_safe(names[1])}-{task.bpp:g}-{task.key()[:8]}.webp"),
        ("original", f"{stem}-original-{hashlib.sha256(data['original'].encode()).hexdigest()[:8]}.webp"),
    ):
        (folder / PICTURES / file).write_bytes(base64.b64decode(data.pop(field)))
        data["file" if field == "webp" else field] = f"{PICTURES}/{file}"
    return Outcome(data)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def read(folder: Path) -> dict[str, Any]:
    """The results in a folder; raises BenchError when there are none, or of another schema version."""
    path = folder / NAME
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(f"{folder} has no {NAME}: run `calotype bench ... --out {folder}` first") from None
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise BenchError(f"{path} is not a results file of this benchmark")
    if found.get("schema_version") != SCHEMA_VERSION:
        raise BenchError(
            f"{path} has schema version {found.get('schema_version')}, this program reads {SCHEMA_VERSION}"
        )
    return found


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in record.items():
        if name == "metric_errors":
            continue
        if isinstance(value, dict):
            prefix = "" if name == "metrics" else f"{name}_"
            row.update({f"{prefix}{key}": v for key, v in value.items()})
        else:
            row[name] = value
    return row


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8; one that is there stays whole until the new one is."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
