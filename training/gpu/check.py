"""Call 1, at most some minutes: what is on this machine, whether it computes correctly, what is fastest.

    python training/gpu/check.py

Leaves in --keep for call 2: the photographs decoded, what compilers cached, and the choice.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import HERE, Fields, environment, kept, packed, python, setting, tell

SMALLER = 0.9
"""A smaller batch is taken when it reaches this share of the fastest."""


def judged(given: argparse.Namespace, what: str, limit: float, *words: str) -> dict[str, Any]:
    """One part of the self-test in a process of its own; empty when it fails."""
    command = ["-m", "calotype.lab.train.selftest", what, "--device", given.device, "--crop", str(given.crop)]
    try:
        done = python(given, *command, *words, timeout=max(5.0, limit))
    except subprocess.TimeoutExpired:
        tell(f"{what} {' '.join(words)}: no answer within {limit:.0f} s")
        return {}
    if done.returncode:
        tell(f"{what} {' '.join(words)}: failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return {}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    tell(f"{what} {' '.join(words)}: {json.dumps(found)}")
    return found


def main() -> int:
    """Check, choose, and write the choice."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=140.0, help="for all of it [140]")
    options.add_argument("--keep", type=Path, default=kept())
    options.add_argument("--device", default="cuda")
    options.add_argument("--crop", type=int, default=256)
    options.add_argument("--batches", default="64,128,256")
    options.add_argument("--rates", default="1e-3,2e-3,4e-3", help="learning rates to try")
    options.add_argument("--try-seconds", type=float, default=12.0, help="for each learning rate")
    given = options.parse_args()
    end = time.monotonic() + given.seconds
    given.keep.mkdir(parents=True, exist_ok=True)
    decoding = packed(given, HERE / "photos", "portion-1")
    python(given, "-c", WHAT, show=True)
    tell(f"gcc: {shutil.which('gcc')}, {shutil.disk_usage(given.keep).free / 1e9:.0f} GB free")

    start = HERE / "start"
    begin = ["--from", str(start)] if start.exists() else []
    batches = [int(b) for b in given.batches.split(",")]
    right = judged(given, "compare", 60, *begin)
    bf16, graph = bool(right.get("ok")), bool(right.get("graph ok"))
    choice: Fields = {"batch": batches[0], "bf16": bf16, "graph": graph, "compile": "no"}
    best, pace = 0.0, 0.0

    def attempt(limit: float, **fields: Any) -> float:
        nonlocal best, pace, choice
        fields = {**choice, **fields}
        left = end - time.monotonic() - 3 * given.try_seconds - 20
        if left < 8:
            return 0.0
        found = judged(given, "time", min(limit, left), *setting(fields))
        speed = float(found.get("megapixels/s", 0.0)) if found.get("finite") else 0.0
        margin = 1 / SMALLER if fields["batch"] > choice["batch"] else 1.0
        if speed > best * margin:
            best, pace, choice = speed, float(found["steps/s"]), fields
            write(given, {**choice, "warmup": max(20, round(5 * pace))}, best)
        return speed

    attempt(30)
    attempt(70, compile="transforms")
    for batch in batches[1:]:
        attempt(60, batch=batch)
    attempt(90, compile="loss")
    decoding.wait()
    if begin:
        rate = learning_rate(given, choice, end, start)
        if rate:
            choice["lr"] = rate
    write(given, {**choice, "warmup": max(20, round(5 * pace))}, best)
    tell(f"chosen: {json.dumps(choice)}, {best:g} megapixels/s")
    return 0 if best else 1


def write(given: argparse.Namespace, choice: Fields, speed: float) -> None:
    """Keep the choice so far, so that it is there however this call ends."""
    path = given.keep / "choice.new"
    path.write_text(json.dumps({"set": choice, "megapixels/s": speed}))
    path.replace(given.keep / "choice.json")


def learning_rate(given: argparse.Namespace, choice: Fields, end: float, start: Path) -> float:
    """The rate with which some seconds of training, annealed, lower the held-out loss most; 0: none tried."""
    losses: dict[float, float] = {}
    for rate in map(float, given.rates.split(",")):
        if time.monotonic() + given.try_seconds + 8 > end:
            break
        run = given.keep / f"try-{rate:g}"
        shutil.rmtree(run, ignore_errors=True)
        fields = {
            **choice,
            "crop": given.crop,
            "lr": rate,
            "hard": 1,
            "decay": 0.6,
            "ema": 0.99,
            "warmup": 50,
        }
        words = ["--data", str(given.keep / "portion-1"), "--from", str(start), "--out", str(run), "--quiet"]
        words += ["--device", given.device, "--minutes", str(given.try_seconds / 60), *setting(fields)]
        try:
            python(given, "-m", "calotype.lab.train", *words, timeout=given.try_seconds + 60)
            last = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()][-1]
            if last["step"]:
                losses[rate] = last["validation"]["mean_loss"]
            tell(f"learning rate {rate:g}: {losses.get(rate)} after {last['step']} steps")
        except (subprocess.TimeoutExpired, OSError, LookupError, ValueError) as error:
            tell(f"learning rate {rate:g}: {error}")
        shutil.rmtree(run, ignore_errors=True)
    return min(losses, key=lambda rate: losses[rate]) if losses else 0.0


WHAT = """
import torch, numpy, PIL, safetensors, sys
from PIL import features
gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
print(sys.version.split()[0], 'torch', torch.__version__, 'numpy', numpy.__version__,
    'Pillow', PIL.__version__,
    'AVIF' if features.check('avif') else 'NO AVIF', gpu)
"""

if __name__ == "__main__":
    environment()
    sys.exit(main())
