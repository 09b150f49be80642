"""Call 1, at most some minutes: what is on this machine, whether it computes correctly, what is fastest.

    python training/gpu/check.py

All parts get ready at once, each in processes of its own, and measure one after the other.  Leaves in --keep
for call 2: the photographs decoded, what compilers cached, and the choice so far, however this call ends.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import BEGUN, USUAL, Fields, end, environment, kept, packed, setting, start, tell

SELFTEST = Path(__file__).with_name("selftest.py")
SMALLER = 0.9
"""A smaller batch is taken when it reaches this share of the fastest."""
READY = 30.0
"""Seconds that training at several rates needs beside them: to get ready, and for validations."""
AT_LEAST = 60.0
"""Seconds for what is timed before learning rates are tried, if all is not done earlier."""


@dataclass
class Part:
    """A part of the self-test in a process of its own; what it prints is in files."""

    what: str
    """``compare``, ``time`` or ``rates``."""
    fields: Fields
    process: subprocess.Popen[Any]
    log: Path
    done: bool = False
    told: int = 0
    found: list[Fields] = field(default_factory=list)

    def read(self) -> None:
        """Take what it has printed, and tell what is new."""
        self.done = self.process.poll() is not None
        whole = self.log.with_suffix(".out").read_text().split("\n")[:-1]
        for line in whole[self.told :]:
            tell(f"{self.log.name}: {line}")
            with suppress(ValueError):  # a library may have something to say, too
                self.found.append(json.loads(line))
        self.told = len(whole)
        if self.done and self.process.returncode:
            errors = self.log.with_suffix(".err").read_text().strip().splitlines() or ["?"]
            tell(f"{self.log.name}: failed ({self.process.returncode}): {errors[-1]}")


def begin(given: argparse.Namespace, what: str, fields: Fields, *words: str) -> Part:
    """Start a part."""
    names = [str(fields[k]) for k in ("compile", "batch") if k in fields]
    log = given.keep / "parts" / "-".join([what, *names])
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(SELFTEST), what, "--device", given.device, "--crop", str(given.crop)]
    command += ["--from", str(start())] if start().is_file() else []
    command += [*words, *setting(fields)]
    share = str(max(1, (os.cpu_count() or 1) // 4))  # several parts compute or compile at once
    few = {"OMP_NUM_THREADS": share, "TORCHINDUCTOR_COMPILE_THREADS": share}
    with log.with_suffix(".out").open("w") as out, log.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=out,
            stderr=err,
            preexec_fn=os.setpgrp,
            env={**os.environ, **few},
        )
    return Part(what, fields, process, log)


def fastest(parts: list[Part]) -> Part | None:
    """What was timed and is fastest; a smaller batch that is nearly as fast before it."""
    timed = [p for p in parts if p.what == "time" and p.found and p.found[0]["finite"]]
    if not timed:
        return None
    most = max(speed(p) for p in timed)
    near = [p for p in timed if speed(p) >= SMALLER * most]
    smallest = min(p.fields["batch"] for p in near)
    return max((p for p in near if p.fields["batch"] == smallest), key=speed)


def speed(part: Part) -> float:
    """Megapixels per second."""
    return float(part.found[0]["megapixels/s"])


def choice(parts: list[Part]) -> Fields:
    """Settings by all that is known so far.  Where a part gave no answer, training itself will tell."""
    chosen: Fields = {}
    if best := fastest(parts):
        chosen = dict(best.fields)
        chosen["warmup"] = max(20, round(5 * float(best.found[0]["steps/s"])))
    for right in (p.found[0] for p in parts if p.what == "compare" and p.found):
        half = right["float32 ok"] and right["bfloat16 ok"]
        chosen |= {"bf16": chosen.get("bf16", True) and half, "graph": right["graph ok"]}
    tried = [one for p in parts if p.what == "rates" for one in p.found]
    losses = {one["rate"]: one["loss"] for one in tried if math.isfinite(one["loss"] or math.nan)}
    if len(losses) > 1:
        chosen["lr"] = min(losses, key=lambda rate: losses[rate])
    return chosen


def main() -> int:
    """Check, choose, and write the choice."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=140.0, help="for all of it [140]")
    options.add_argument("--keep", type=Path, default=kept())
    options.add_argument("--device", default="cuda")
    options.add_argument("--crop", type=int, default=256)
    options.add_argument("--batches", default="64,128")
    options.add_argument("--compile", default="transforms,loss", help="what to compile")
    options.add_argument("--rates", default="5e-4,1e-3,2e-3", help="learning rates to try")
    options.add_argument("--try-seconds", type=float, default=12.0, help="for each learning rate")
    given = options.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    if not environment():
        tell("Pillow does not read AVIF: call 2 has to bring a wheel")
        return 1
    limit, parts = BEGUN + given.seconds - 1, list[Part]()
    decoding = packed(given, "portion-1")
    what = subprocess.Popen([sys.executable, "-c", WHAT])
    tell(f"gcc: {shutil.which('gcc')}, {shutil.disk_usage(given.keep).free / 1e9:.0f} GB free")
    try:
        run(given, parts, decoding, limit)
    finally:
        for part in parts:
            end(part.process)
        for other in (decoding, what):
            other.kill()
    chosen = choice(parts)
    tell(f"chosen: {json.dumps(chosen)}")
    return 0 if chosen.get("batch") else 1


def run(
    given: argparse.Namespace, parts: list[Part], decoding: subprocess.Popen[bytes], limit: float
) -> None:
    """Start the parts, follow them and keep the choice so far, until all are done or ``limit``."""
    turn = ["--turn", str(given.keep / "turn")]
    usual = {**USUAL, "bf16": given.device != "cpu"}  # which is slow on a CPU
    parts.append(begin(given, "compare", {}))
    batches = [int(b) for b in given.batches.split(",")]
    parts.append(begin(given, "time", {**usual, "compile": "no", "batch": batches[0]}, *turn))
    for batch in batches:
        for mode in filter(None, given.compile.split(",")):
            parts.append(begin(given, "time", {**usual, "compile": mode, "batch": batch}, *turn))
    rates = given.rates.split(",") if start().is_file() else []
    latest = max(BEGUN + AT_LEAST, limit - READY - len(rates) * (given.try_seconds + 1.5))
    kept_choice: Fields = {}
    while time.monotonic() < limit:
        for part in parts:
            if not part.done:
                part.read()
        chosen = choice(parts)
        if chosen != kept_choice:
            write(given.keep, chosen)
            kept_choice = chosen
        waiting = [p for p in parts if not p.done]
        if rates and decoding.poll() == 0 and (not waiting or time.monotonic() > latest):
            if best := fastest(parts):
                tell(f"learning rates, with {json.dumps(best.fields)}")
                words = ["--rates", ",".join(rates), "--seconds", str(given.try_seconds)]
                words += ["--data", str(given.keep / "portion-1"), *turn]
                tried = {k: v for k, v in {**best.fields, **chosen}.items() if k not in ("lr", "warmup")}
                parts.append(begin(given, "rates", tried, *words))
                rates = []
            elif not waiting:
                rates = []
        elif not waiting and not (rates and decoding.poll() is None):
            break
        time.sleep(0.2)
    for part in parts:
        if not part.done:
            part.read()
            if not part.done:
                tell(f"{part.log.name}: not done in time")
    write(given.keep, choice(parts))


def write(keep: Path, chosen: Fields) -> None:
    """Keep the choice so far, so that it is there however this call ends."""
    path = keep / "choice.new"
    path.write_text(json.dumps({"set": chosen}))
    path.replace(keep / "choice.json")


WHAT = """
import torch, numpy, PIL, safetensors, sys
gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
print(sys.version.split()[0], 'torch', torch.__version__, 'numpy', numpy.__version__,
    'Pillow', PIL.__version__, gpu, flush=True)
"""

if __name__ == "__main__":
    sys.exit(main())
