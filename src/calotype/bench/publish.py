"""Put the results of a run where they are kept, and into the documents that show them:
``python -m calotype.bench.publish RUN-FOLDER RESULTS-FOLDER FILE.md ...``.

The journal, the decoded pictures and the page stay behind: `calotype bench report` makes the page again,
which is too large for a repository.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from calotype.bench import results, tables
from calotype.bench.errors import BenchError
from calotype.records.script import guarded

FILES = (results.NAME, "timing.csv")
"""Not measurements.csv, which says what the results do once more."""


def publish(run: Path, target: Path) -> list[Path]:
    """Copy results and figures of the run in ``run`` to ``target``; returns what was written.

    Figures in ``target`` that the run has not are removed. Raises BenchError when the run has no results or
    no figures.
    """
    results.read(run)
    for name in (*FILES, "figures"):
        if not (run / name).exists():
            raise BenchError(f"{run} has no {name}: run `calotype bench report {run}` first")
    target.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target / "figures", ignore_errors=True)
    shutil.copytree(run / "figures", target / "figures")
    for name in FILES:
        shutil.copyfile(run / name, target / name)
    return sorted(path for path in target.rglob("*") if path.is_file())


@guarded
def main(arguments: list[str]) -> int:
    """Publish the first argument's run in the second's folder and in all documents that follow."""
    if len(arguments) < 2:
        print(
            "usage: python -m calotype.bench.publish RUN-FOLDER RESULTS-FOLDER FILE.md ...", file=sys.stderr
        )
        return 2
    written = publish(Path(arguments[0]), Path(arguments[1]))
    size = sum(path.stat().st_size for path in written)
    print(f"{arguments[1]}: {len(written)} files, {size / 1e6:.1f} MB")
    return tables.main(arguments[1:]) if arguments[2:] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
