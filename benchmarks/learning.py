"""What each gigapixel of training bought: BD-rate of the validations in a training log.

    python benchmarks/learning.py docs/results/training/psnr.jsonl [--against 9f621924]

Prints a table. Bits are estimates and pictures are the 20 held-out crops of 256 x 256, so the figures rank
checkpoints; what a pack is worth in real files, the gate and `calotype bench` say. The anchor is the
validation of a pack in the history, on the same crops.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from calotype.bench.bdrate import Curve, bd_rate
from calotype.bench.gate import default_history
from calotype.records.script import guarded


def anchor(history: Path, identity: str) -> Curve:
    """The validation of a pack.

    Raises:
        ValueError: when the history has none that begins with ``identity``.
    """
    for entry in json.loads(history.read_text())["packs"]:
        if entry["id"].startswith(identity):
            return curve(entry["training"]["validation"])
    raise ValueError(f"{history}: no pack {identity}")


def curve(validation: dict[str, Any]) -> Curve:
    """Mean bits per pixel and mean PSNR at each trained level."""
    return Curve(validation["bpp"], validation["psnr"])


def rows(log: Path, against: Curve) -> list[tuple[float, float, float, float, str]]:
    """Gigapixels, seconds, mean loss, BD-rate in percent and live units of each validation."""
    found, seen = [], 0.0
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        seen = entry.get("gigapixels", seen)
        if (validation := entry.get("validation")) is not None:
            value = bd_rate(against, curve(validation)).value
            live = "of".join(f" {n} " for n in entry["live"]).strip() if "live" in entry else ""
            found.append((seen, entry["seconds"], validation["mean_loss"], value, live))
    return found


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("log", type=Path)
    options.add_argument("--against", default="9f621924", help="first characters of a pack's id")
    given = options.parse_args(arguments)
    found = rows(given.log, anchor(default_history(), given.against))
    print(
        "| gigapixels | seconds | loss | BD-rate | hidden units live |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    for seen, seconds, loss, value, live in found:
        print(f"| {seen:.1f} | {seconds:.0f} | {loss:.4f} | {value:+.1f} % | {live} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
