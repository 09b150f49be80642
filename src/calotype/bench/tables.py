"""Tables and commands in the documents, generated from stored results: ``python -m calotype.bench.tables
RESULTS FILE.md ...``.

A document marks the places with ``<!-- table:NAME -->``, ``<!-- command:NAME -->`` and ``<!-- end -->``; NAME
is the name of the results' folder. ``<!-- short:NAME+NAME -->`` gets the few rows that a newcomer needs, of
several folders that lie beside each other (`short`).
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from calotype.bench import results
from calotype.bench.bdrate import Curve
from calotype.bench.metrics import METRICS
from calotype.bench.report.curves import Table, bd, usable
from calotype.bench.report.page import speed
from calotype.bench.report.published import published_curves
from calotype.records import markdown
from calotype.records.script import guarded, made_of

VTM = "ref:vtm"
ANCHORS = ("jpeg-444", "webp", "avif-444-psnr")
SHORT = ("calotype", "calotype:psnr", "calotype:photo-eyes", "avif-444", "avif-444-psnr", "webp")
"""Rows of the short table: those of them that every set has. They are compared with SHORT_ANCHOR."""
SHORT_ANCHOR = "jpeg-444"
SHORT_METRICS = (("ssimulacra2", "ms_ssim"), ("psnr_rgb",))
"""Its measures: of each group the first that every set has."""


def table(folder: Path) -> str:
    """BD-rates and speeds of a run in ``folder``, as Markdown; best PSNR first."""
    found = results.read(folder)
    run = Table(found)
    published = published_curves(run.images)
    anchors = [a for a in ANCHORS if a in run.codecs]
    reference = {a: run.mean_curve(a) for a in anchors}
    if VTM in published:
        anchors.append(VTM)
        reference[VTM] = published[VTM].curve
    names = {VTM: "VTM (published)"}
    head = [f"PSNR, against {names.get(a, a)}" for a in anchors] + ["MS-SSIM, against webp"]
    times = {(row["codec"], row["threads"]): row for row in speed(found)}
    threads = "all" if any(t == "all" for _, t in times) else "1"
    rows = []
    for codec in run.codecs:
        curve = run.mean_curve(codec)
        rates = [bd(usable(reference[a], "psnr_rgb"), usable(curve, "psnr_rgb")) for a in anchors]
        webp = reference.get("webp")
        rates.append(bd(usable(webp, "ms_ssim"), usable(curve, "ms_ssim")) if webp else None)
        cells = _cells(codec, rates, times.get((codec, threads)), digits=1)
        rows.append((rates[-2]["rate"] if rates[-2] else float("inf"), codec, cells))
    heads = ["codec", *head, "encode MP/s", "decode MP/s"]
    lines = markdown.table(heads, [cells for _, _, cells in sorted(rows)])
    return "\n".join([*lines, "", _caption(found, threads)])


def short(folders: Sequence[Path]) -> str:
    """How much smaller a few codecs' files are than JPEG's at one quality, set by set, as Markdown.

    folders: of one run each; each is a column per measure. Speeds are those of the last one.

    Raises:
        ValueError: where a set lacks JPEG, all measures of a kind, or all codecs of `SHORT`.
    """
    found = {folder.name: results.read(folder) for folder in folders}
    runs = {name: Table(result) for name, result in found.items()}
    known = [set(run.metrics) for run in runs.values()]
    metrics = [next((m for m in group if all(m in k for k in known)), "") for group in SHORT_METRICS]
    codecs = [c for c in SHORT if all(c in run.codecs for run in runs.values())]
    lacking = [name for name, run in runs.items() if SHORT_ANCHOR not in run.codecs]
    if not codecs or not all(metrics) or lacking:
        raise ValueError(f"{', '.join(lacking or runs)}: cannot be compared with {SHORT_ANCHOR} by {metrics}")
    last = found[folders[-1].name]
    times = {row["codec"]: row for row in speed(last) if row["threads"] == "all"}
    rows = []
    for codec in codecs:
        rates = [
            bd(*(usable(run.mean_curve(name), metric) for name in (SHORT_ANCHOR, codec)))
            for metric in metrics
            for run in runs.values()
        ]
        rows.append(_cells(codec, rates, times.get(codec), digits=0))
    heads = [f"{METRICS[m].label.partition(' (')[0]}, {name}" for m in metrics for name in runs]
    lines = markdown.table(["codec", *heads, "encode MP/s", "decode MP/s"], rows)
    pictures = ", ".join(f"{len(result['images'])} of {name}" for name, result in found.items())
    return "\n".join(
        [
            *lines,
            "",
            f"Bytes against {SHORT_ANCHOR} for the same quality (BD-rate on the means over {pictures}), "
            f"from the sizes of real files; lower is better. Speed on {folders[-1].name}: all threads on "
            f"{_machines(last)}. {_when(list(found.values()))}",
        ]
    )


def speeds(folder: Path) -> str:
    """How fast each codec of a run was on one thread and on all, as Markdown; the fastest decoder first."""
    found = results.read(folder)
    times = {(row["codec"], row["threads"]): row for row in speed(found)}
    paces = [(threads, way) for way in ("decode", "encode") for threads in ("1", "all")]
    rows = []
    for codec in found["codecs"]:
        if (codec, "1") in times:
            timed = {threads: times.get((codec, threads)) for threads in ("1", "all")}
            cells = [_speed(row[f"{way}_mps"]) if (row := timed[threads]) else "" for threads, way in paces]
            name = f"**{codec}**" if codec.startswith("calotype") else codec
            rows.append((-times[codec, "1"]["decode_mps"], name, f"{times[codec, '1']['bpp']:.2f}", cells))
    heads = [f"{way}, {'one thread' if threads == '1' else 'all threads'}" for threads, way in paces]
    lines = markdown.table(
        ["codec", "bits per pixel", *heads], [[name, bpp, *cells] for _, name, bpp, cells in sorted(rows)]
    )
    pictures = ", ".join(dict.fromkeys(Path(point["image"]).stem for point in found["timing"]))
    return "\n".join(
        [*lines, "", f"MP/s, medians over {pictures}, on {_machines(found)}, idle. {measured(found)}"]
    )


def _cells(
    codec: str, rates: Sequence[Mapping[str, Any] | None], time: Mapping[str, Any] | None, digits: int
) -> list[str]:
    """A codec's row: its name, BD-rates, speeds; nothing where there is none."""
    name = f"**{codec}**" if codec.startswith("calotype") else codec
    told = ["" if rate is None else f"{rate['rate']:+.{digits}f} %" for rate in rates]
    paces = ["", ""] if time is None else [_speed(time[f"{way}_mps"]) for way in ("encode", "decode")]
    return [name, *told, *paces]


def _when(runs: Sequence[dict[str, Any]]) -> str:
    """Date and commit, in one sentence; of several commits only how many."""
    commits = {name for run in runs for name in _commits(run)}
    last = max(run["finished"][:10] for run in runs)
    if len(commits) == 1:
        return f"Measured {last} at commit `{commits.pop()}`."
    return f"Measured until {last} at {len(commits)} commits, which are under the tables of each set."


def _commits(found: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(str(run["commit"] or "unknown") for run in found.get("sessions", [found])))


def _speed(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def measured(found: dict[str, Any]) -> str:
    """The day and the commits of a run, in a sentence."""
    commits = _commits(found)
    return (
        f"Measured {found['finished'][:10]} at commit{'s' if len(commits) > 1 else ''} "
        f"{', '.join(f'`{name}`' for name in commits)}"
        + (" (`+`: with changes not committed)." if any(name.endswith("+") for name in commits) else ".")
    )


def _machines(found: dict[str, Any]) -> str:
    """Where the last run took its times, and where those of the codecs were taken that it left out."""
    told = [
        f"{run['hardware']['processor']} with {run['hardware']['cores']} cores"
        for run in found.get("sessions", [])
        if "--timing 0" not in shlex.join(run["command"])
    ]
    last = told[-1] if told else f"{found['hardware']['processor']} with {found['hardware']['cores']} cores"
    before = [machine for machine in dict.fromkeys(told) if machine != last]
    return last + (f" (codecs that were not timed there: on {', '.join(before)})" if before else "")


def _caption(found: dict[str, Any], threads: str) -> str:
    who = "all threads" if threads == "all" else "one thread"
    return (
        f"BD-rate on the means over {len(found['images'])} pictures, from the sizes of real files; "
        "lower is better. "
        f"Speed: {who} on {_machines(found)}. {measured(found)}"
    )


def command(folder: Path) -> str:
    """The command that makes the results in ``folder``, as a block of Markdown."""
    return f"```sh\n{shlex.join(results.read(folder)['command'])}\n```"


def insert(document: Path, name: str, text: str, kind: str = "table") -> bool:
    """Put ``text`` at the place of a document marked ``kind:name``; says whether the document changed.

    Raises:
        ValueError: if the document does not mark such a place.
    """
    old = document.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {kind}:{re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{document}: no place marked <!-- {kind}:{name} -->")
    new = pattern.sub(lambda m: m.group(1) + text.rstrip() + "\n" + m.group(2), old)
    document.write_text(new, encoding="utf-8")
    return new != old


def add_commands(options: Any, name: str) -> Any:
    """The subcommands of a script in benchmarks: ``measure PICTURE...``, whose parser is returned, and
    ``table RESULTS DOCUMENT...``; `write` does what the second asks.
    """
    commands = options.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("pictures", nargs="+", type=Path)
    measuring.add_argument("--pack", help="instead of the one that ships")
    measuring.add_argument("--out", type=Path, default=Path("docs/results") / f"{name}.json")
    writing = commands.add_parser("table")
    writing.add_argument("results", type=Path)
    writing.add_argument("documents", nargs="+", type=Path)
    return measuring


def write(given: Any, render: Callable[[dict[str, Any]], str], name: str) -> None:
    """Put what ``render`` makes of stored results at the places marked ``benchmark:name``."""
    text = made_of(given.results, render)
    for document in given.documents:
        print(document, "updated" if insert(document, name, text, "benchmark") else "unchanged")


def write_folder(
    folder: Path, document: Path, render: Callable[[dict[str, Any]], str], kinds: Container[str]
) -> None:
    """Put what ``render`` makes of each JSON file of a folder at the place marked ``benchmark:NAME``.

    The part of the name before a dash must be one of ``kinds``; other files are left out.
    """
    for path in sorted(folder.glob("*.json")):
        if path.stem.split("-")[0] in kinds:
            changed = insert(document, path.stem, made_of(path, render), "benchmark")
            print(document, path.stem, "updated" if changed else "unchanged")


def curves(rows: Sequence[Mapping[str, Any]], measure: str = "psnr") -> dict[str, Curve]:
    """Curve of every ``picture``: ``bpp`` and a measure."""
    return {
        name: Curve(*([row[key] for row in rows if row["picture"] == name] for key in ("bpp", measure)))
        for name in sorted({row["picture"] for row in rows})
    }


@guarded
def main(arguments: list[str]) -> int:
    """Regenerate table and command of the first argument's results in all documents that follow."""
    if len(arguments) < 2:
        print("usage: python -m calotype.bench.tables RESULTS-FOLDER FILE.md ...", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    for document in map(Path, arguments[1:]):
        places = [(k, n) for k, n, _ in marked(document) if folder.name in n.split("+")]
        texts = [(made(kind, name, folder.parent), name, kind) for kind, name in places]
        if not texts:
            raise ValueError(f"{document}: no place marked <!-- table:{folder.name} -->")
        changed = [insert(document, name, text, kind) for text, name, kind in texts]
        print(f"{document}: {'updated' if any(changed) else 'unchanged'}")
    return 0


def marked(document: Path) -> list[tuple[str, str, str]]:
    """Kind, name and present text of all places in a document for a table, short table, speeds or command."""
    pattern = re.compile(r"<!-- (table|command|short|speed):([\w+]+) -->\n(.*?)<!-- end -->", re.DOTALL)
    return pattern.findall(document.read_text(encoding="utf-8"))


def made(kind: str, name: str, folder: Path) -> str:
    """What belongs at a place of a document, from the results below ``folder``."""
    if kind == "short":
        return short([folder / part for part in name.split("+")])
    return {"table": table, "command": command, "speed": speeds}[kind](folder / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
