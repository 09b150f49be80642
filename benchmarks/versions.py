"""Two installed versions of Calotype beside each other, in turn, on one machine.

    python benchmarks/versions.py measure OLD/bin/python NEW/bin/python PICTURES... [--bpp 0.5] [--repeat 5]
        [--threads 1 2] [--tune psnr] [--out docs/results/versions/versions.json]
    python benchmarks/versions.py table docs/results/versions docs/results/versions/README.md

OLD and NEW are environments with nothing in them but a version of Calotype and what it needs. For every
picture each of them encodes at the quality that meets the rate, and decodes what it made, from bytes to an
array; then `calotype decode FILE` is run as a whole process, as people type it, which writes a PNG beside the
file, and once more with `-o FILE.ppm`, which spares the PNG and takes the way of all options. One repeat of
the one follows one repeat of the other. Stored are the least CPU seconds and the least wall seconds of all
repeats: what the work costs where nothing disturbs it. Then the time to import the package, and the size of
all that is installed.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calotype.bench import tables
from calotype.bench.names import find_images
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of

Row = dict[str, Any]
NAMES = ("old", "new")
WHOLE = {
    "typed": "`calotype decode FILE`, whole process",
    "process": "`calotype decode FILE -o X.ppm`, whole process",
}
SMALL = 0.5
"""Megapixels: those of Kodak's size have a row of their own."""
# What runs in each environment, JSON lines in and out; it uses nothing but what both versions have.
WORKER = """
import json, os, resource, subprocess, sys, time
import numpy as np
from PIL import Image
import calotype

def timed(work):
    begun, spent = time.perf_counter(), time.process_time()
    made = work()
    return [time.process_time() - spent, time.perf_counter() - begun], made

def process(arguments):
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall]

for line in sys.stdin:
    do, given = json.loads(line)
    tune = {"tune": given["tune"]} if given.get("tune") else {}
    if do == "load":
        pixels = Image.fromarray(np.asarray(Image.open(given["picture"]).convert("RGB")))
        pixels.load()
        low, high, size = 0.0, 95.0, given["bpp"] / 8 * pixels.width * pixels.height
        while high - low > 0.25:
            quality = (low + high) / 2
            data = calotype.encode(pixels, quality, **tune)
            low, high = (quality, high) if len(data) < size else (low, quality)
        open(given["file"], "wb").write(data)
        found = {"quality": quality, "bytes": len(data), "megapixels": pixels.width * pixels.height / 1e6}
    elif do == "encode":
        found, _ = timed(lambda: calotype.encode(pixels, quality, threads=given["threads"], **tune))
    elif do == "decode":
        found, _ = timed(lambda: np.asarray(calotype.decode(data, threads=given["threads"])))
    elif do == "typed":
        made = given["file"][:-5] + ".png"
        if os.path.exists(made):
            os.remove(made)
        found = process([os.path.join(os.path.dirname(sys.executable), "calotype"), "decode", given["file"]])
        os.stat(made)
    elif do == "process":
        decode = [sys.executable, "-m", "calotype", "decode"]
        found = process([*decode, given["file"], "-o", given["file"] + ".ppm", "-f"])
    elif do == "import":
        found = process([sys.executable, "-c", "import calotype"])
    elif do == "size":
        import sysconfig
        from pathlib import Path
        folder = Path(sysconfig.get_paths()["platlib"])
        leave = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")
        parts = [p for p in folder.iterdir() if not p.name.startswith(leave)]
        found = sum(f.stat().st_size for p in parts for f in (p.rglob("*") if p.is_dir() else [p])
                    if f.is_file() and f.suffix != ".pyc")
    print(json.dumps(found), flush=True)
"""


class Version:
    """One environment's process, which does one thing at a time."""

    def __init__(self, python: Path, folder: Path, name: str) -> None:
        self.file = str(folder / f"{name}.calo")
        self._process = subprocess.Popen(
            [str(python.absolute()), "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )

    def do(self, what: str, **given: Any) -> Any:
        """What the worker says. Raises ValueError when it has ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([what, given | {"file": self.file}]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(f"{what} failed, see above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("old", type=Path)
    measuring.add_argument("new", type=Path)
    measuring.add_argument("pictures", nargs="+", type=Path)
    measuring.add_argument("--bpp", type=float, default=0.5)
    measuring.add_argument("--repeat", type=int, default=5)
    measuring.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    measuring.add_argument("--tune", help="eyes or psnr; without it each version's default")
    measuring.add_argument("--out", type=Path, default=Path("docs/results/versions/versions.json"))
    writing = commands.add_parser("table")
    writing.add_argument("folder", type=Path)
    writing.add_argument("document", type=Path)
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write_folder(given.folder, given.document, table, ["versions"])
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    stored = provenance(
        ["python", "benchmarks/versions.py", *(sys.argv[1:] if arguments is None else arguments)]
    )
    with tempfile.TemporaryDirectory() as folder:
        pair = [Version(python, Path(folder), name) for name, python in zip(NAMES, (given.old, given.new))]
        stored["kind"] = "versions"
        stored["rows"] = [_measure(path, pair, given) for path in find_images(given.pictures)]
        stored["import"] = _least([[version.do("import") for version in pair] for _ in range(given.repeat)])
        stored["installed"] = [version.do("size") for version in pair]
        for version in pair:
            version.close()
    stored["finished"] = now()
    given.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")
    print(table(stored))


def _measure(path: Path, pair: Sequence[Version], given: argparse.Namespace) -> Row:
    """Both versions on one picture."""
    row: Row = {"set": path.parent.name, "picture": path.stem}
    loaded = [v.do("load", picture=str(path.resolve()), bpp=given.bpp, tune=given.tune) for v in pair]
    row |= {"megapixels": loaded[0]["megapixels"], "bytes": [found["bytes"] for found in loaded]}
    tasks = [(what, count) for what in ("decode", "encode") for count in given.threads]
    tasks += [("typed", 0), ("process", 0)]
    for what, threads in tasks:
        times = [
            [version.do(what, threads=threads, tune=given.tune) for version in pair]
            for _ in range(given.repeat + 1)
        ]
        row[f"{what} {threads}" if threads else what] = _least(times[1:])
    print(row, flush=True)
    return row


def _least(times: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """Of [repeat][version][CPU, wall] the least, [version][CPU, wall]."""
    return [
        [round(min(repeat[v][clock] for repeat in times), 5) for clock in (0, 1)] for v in range(len(NAMES))
    ]


def table(stored: Row) -> str:
    """Geometric means over pictures: what the new version takes, and its ratio to what the old one takes."""
    rows, cells = stored["rows"], list[list[str]]()

    def add(label: str, name: str, rows: Sequence[Row]) -> None:
        for clock, kind in enumerate(("CPU", "wall")):
            old, new = (_mean([row[name][v][clock] for row in rows]) for v in (0, 1))
            speed = f"{_mean([r['megapixels'] / r[name][1][clock] for r in rows]):.1f}"
            given = "" if name in WHOLE else speed
            cells.append([label, kind, f"{old:.3f}", f"{new:.3f}", f"{new / old:.2f}", given])

    for name in (name for name in rows[0] if name.startswith(("decode", "encode", *WHOLE))):
        what, _, threads = name.partition(" ")
        add(WHOLE.get(name, f"{what}, {threads} thread{'s' * (threads != '1')}"), name, rows)
        small = [row for row in rows if row["megapixels"] < SMALL]
        if name == "typed" and 0 < len(small) < len(rows):
            add(f"the same, {', '.join(row['picture'] for row in small)}", name, small)
    for clock, kind in enumerate(("CPU", "wall")):
        old, new = (stored["import"][v][clock] for v in (0, 1))
        cells.append(
            ["`import calotype`, whole process", kind, f"{old:.3f}", f"{new:.3f}", f"{new / old:.2f}", ""]
        )
    heads = ["what", "seconds of", "old", "new", "ratio", "MP/s, new"]
    old, new = (size / 2**20 for size in stored["installed"])
    lines = [
        *markdown.table(heads, cells, "llrrrr"),
        "",
        f"Pictures: {', '.join(row['picture'] for row in rows)}.",
        f"Installed, with all that is needed but Python: {old:.0f} MiB before, {new:.0f} MiB now.",
        "",
        f"Measured {stored['finished'][:10]} on {stored['hardware']['processor']}, new at commit",
        f"`{stored['commit']}`: `{stored['command']}`.",
    ]
    return "\n".join(lines) + "\n"


def _mean(values: Sequence[float]) -> float:
    """Their geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


if __name__ == "__main__":
    sys.exit(main())
