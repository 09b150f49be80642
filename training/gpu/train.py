"""Call 2: train to the end of a time budget, annealed; then, from there, for what eyes see.

    python training/gpu/train.py --minutes 9.6 --eyes 2 --out "$OUT"

Begins with start/ and with what call 1 left in --keep, or without.  Every minute, weights and average are in
--out, or in --out/eyes, in pieces of less than 16 MiB; the last validation is printed last.  What fails or
hangs is tried again more carefully in the time that is left.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import BEGUN, HERE, USUAL, Fields, end, environment, kept, notes, packed, setting, start, tell

CAREFUL: list[Fields] = [
    {},
    {"compile": "no"},
    {"compile": "no", "graph": False},
    {"compile": "no", "batch": 32, "graph": False},
]
"""What is changed at each attempt."""
EYES = 0.4
"""Learning rate for what eyes see, as a part of that before."""
LEAST = 30.0
"""Seconds that are not worth another attempt."""
HANGS = 150.0
"""Seconds without a line in the log after which an attempt is given up; compiling may take 90."""
LAST = 10.0
"""Seconds that an attempt may take beyond its time."""


def main() -> int:
    """Train, and try again if that fails."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--minutes", type=float, default=9.6, help="for all of it [9.6]")
    options.add_argument("--eyes", type=float, default=2.0, help="of them for SSIMULACRA2, at the end [2]")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--keep", type=Path, default=kept())
    options.add_argument("--device", default="cuda")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = options.parse_args()
    if 60 * (given.minutes - given.eyes) < 2 * LEAST:
        options.error(f"--eyes leaves less than {2 * LEAST:.0f} s of --minutes for what comes before")
    limit = BEGUN + 60 * given.minutes
    given.keep.mkdir(parents=True, exist_ok=True)
    given.out.mkdir(parents=True, exist_ok=True)
    if not environment():
        tell("Pillow does not read AVIF")
    try:
        if packed(given, "portion-2").wait(min(120.0, 20 * given.minutes)):
            tell("the photographs of this call cannot be decoded")
    except subprocess.TimeoutExpired:
        tell("the photographs of this call take too long to decode")
    data = [given.keep / f"portion-{k}" for k in (1, 2)]
    data = [path for path in data if path.with_suffix(".json").is_file()]
    if not data:
        tell("there are no photographs")
        return 1
    tell(f"training on {' and '.join(path.name for path in data)}")
    run = given.keep / f"run-{int(time.time())}"
    usual, origin = chosen(given), HERE / "start"
    if not persistent(given, run, origin, given.out, data, usual, limit - 60 * given.eyes):
        return 1
    if given.eyes:
        usual |= {"lr": EYES * float(usual["lr"]), "leak": 0, "compile": "no", "warmup": 100, "decay": 0.9}
        eyes, out = run.with_name(f"{run.name}-eyes"), given.out / "eyes"
        if not persistent(given, eyes, run, out, data, usual, limit, "--distortion", "ssimulacra2"):
            return 1
    return 0


def persistent(
    given: argparse.Namespace,
    run: Path,
    origin: Path,
    out: Path,
    data: list[Path],
    usual: Fields,
    limit: float,
    *options: str,
) -> bool:
    """Train until ``limit``, with more care each time that fails; whether that succeeded."""
    out.mkdir(parents=True, exist_ok=True)
    for careful in CAREFUL:
        left = limit - time.monotonic()
        if left < min(LEAST, 30 * given.minutes):
            break
        done = attempt(given, run, origin, out, data, {**usual, **careful}, left, *options)
        if done == 0:
            tell("done")
            return True
        tell(f"training ended with {done}; again, more carefully")
    return False


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
    fields |= {**USUAL, "compile": "no", "ema": 0.9995, "rollbacks": 3, "log_every": 200}
    fields |= {"save_seconds": 60, "validate_seconds": 60}
    try:
        fields |= json.loads((given.keep / "choice.json").read_text())["set"]
    except (OSError, ValueError, LookupError):
        tell("call 1 left no choice: training as it is safe")
    fields["paces"] = notes(start()).get("config", {}).get("paces", "")
    return fields | dict(text.split("=", 1) for text in given.set)


def attempt(
    given: argparse.Namespace,
    run: Path,
    origin: Path,
    out: Path,
    data: list[Path],
    fields: Fields,
    left: float,
    *options: str,
) -> int:
    """Train for the time that is left, from the last checkpoint if there is one; returns the exit status."""
    begun = time.monotonic()
    words = ["--data", *map(str, data), "--out", str(run), "--result", str(out), *options]
    words += ["--device", given.device, "--minutes", f"{left / 60:.4f}"]
    checkpoint = run / "checkpoint.safetensors"
    if checkpoint.is_file():  # the rest of the schedule fits into the time that is left
        spent = float(notes(checkpoint).get("seconds", 0.0))
        fields = {**fields, "minutes": round((spent + max(left - 25, left / 2)) / 60, 4)}
        words += ["--resume"]
    else:
        words += ["--from", str(origin)]
    tell(f"{left:.0f} s with {json.dumps(fields)}")
    command = [sys.executable, "-m", "calotype.lab.train", *words, *setting(fields)]
    process = subprocess.Popen(command, preexec_fn=os.setpgrp)
    try:
        return followed(process, run / "log.jsonl", out / "log.jsonl", begun + left + LAST)
    finally:
        end(process)


def followed(process: subprocess.Popen[bytes], log: Path, copy: Path, limit: float) -> int:
    """Wait for a training process, copying its log; 124 when it takes or keeps silent too long."""
    told, size = time.monotonic(), -1
    while True:
        try:
            done = process.wait(1.0)
        except subprocess.TimeoutExpired:
            done = None
        now = log.stat().st_size if log.is_file() else -1
        if now != size:
            told, size = time.monotonic(), now
            shutil.copyfile(log, copy)
        if done is not None:
            return done
        if time.monotonic() > min(limit, told + HANGS):
            tell(f"nothing in the log for {time.monotonic() - told:.0f} s")
            return 124


if __name__ == "__main__":
    sys.exit(main())
