"""Call 2: train to the end of a time budget, annealed.

    python training/gpu/train.py --minutes 9.6 --out "$OUT"

Begins with start/ and with what call 1 left in --keep, or without.  Every minute, weights and average are in
--out, in pieces of less than 16 MiB; the last validation is printed last.  What fails is tried again more
carefully in the time that is left.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import BEGUN, HERE, Fields, environment, kept, packed, setting, tell

CAREFUL: list[Fields] = [
    {},
    {"compile": "no"},
    {"compile": "no", "graph": False},
    {"batch": 32, "graph": False},
]
"""What is changed at each attempt."""


def main() -> int:
    """Train, and try again if that fails."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--minutes", type=float, default=9.6, help="for all of it [9.6]")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--keep", type=Path, default=kept())
    options.add_argument("--device", default="cuda")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options.add_argument("--decode-only", action="store_true", help="stop when the photographs are there")
    given = options.parse_args()
    end = BEGUN + 60 * given.minutes
    given.keep.mkdir(parents=True, exist_ok=True)
    given.out.mkdir(parents=True, exist_ok=True)
    if packed(given, HERE / "photos", "portion-2").wait():
        tell("the photographs of this call cannot be decoded")
    data = [given.keep / f"portion-{k}" for k in (1, 2)]
    data = [path for path in data if path.with_suffix(".json").is_file()]
    if not data:
        tell("there are no photographs")
        return 1
    if given.decode_only:
        return 0
    run = given.keep / f"run-{int(time.time())}"
    for careful in CAREFUL:
        left = end - time.monotonic()
        if left < min(30.0, 30 * given.minutes):
            break
        done = attempt(given, run, data, {**chosen(given), **careful}, left)
        if (run / "log.jsonl").is_file():
            shutil.copyfile(run / "log.jsonl", given.out / "log.jsonl")
        if done == 0:
            return 0
        tell(f"training ended with {done}; again, more carefully")
    return 1


def chosen(given: argparse.Namespace) -> Fields:
    """Settings: what suits a GPU, what call 1 found, what the command line says."""
    fields: Fields = {
        "batch": 64,
        "crop": 256,
        "lr": 1e-3,
        "warmup": 300,
        "decay": 0.6,
        "final": 0.01,
        "hard": 1,
    }
    fields |= {"bf16": True, "compile": "no", "graph": True, "ema": 0.9995, "rollbacks": 3, "log_every": 200}
    fields |= {"save_seconds": 60, "validate_seconds": 180}
    try:
        fields |= json.loads((given.keep / "choice.json").read_text())["set"]
    except (OSError, ValueError, LookupError):
        tell("call 1 left no choice: training as it is safe")
    start = json.loads(subprocess.check_output([sys.executable, "-c", CONFIG, str(HERE / "start")]))
    fields["paces"] = start.get("paces", "")
    return fields | dict(text.split("=", 1) for text in given.set)


CONFIG = """
import json, sys
from pathlib import Path
from calotype.lab.train.state import State
print(json.dumps(State.load(Path(sys.argv[1])).config))
"""
SPENT = """
import sys
from pathlib import Path
from calotype.lab.train.state import State
print(State.load(Path(sys.argv[1])).seconds)
"""


def attempt(given: argparse.Namespace, run: Path, data: list[Path], fields: Fields, left: float) -> int:
    """Train for the time that is left, from the last checkpoint if there is one; returns the exit status."""
    words = ["--data", *map(str, data), "--out", str(run), "--result", str(given.out)]
    words += ["--device", given.device, "--minutes", f"{left / 60:.4f}"]
    if (run / "checkpoint.safetensors").is_file():  # the rest of the schedule fits into the time that is left
        spent = float(subprocess.check_output([sys.executable, "-c", SPENT, str(run)]))
        fields = {**fields, "minutes": round((spent + left - 25) / 60, 4)}
        words += ["--resume"]
    else:
        words += ["--from", str(HERE / "start")]
    command = [sys.executable, "-m", "calotype.lab.train", *words, *setting(fields)]
    try:
        return subprocess.run(command, timeout=left + 15, check=False).returncode
    except subprocess.TimeoutExpired:
        return 124


if __name__ == "__main__":
    environment()
    sys.exit(main())
