"""What each learned system costs at published width: parameters, kMAC per pixel, time and memory.

    python -m studies.systems measure --picture kodim23.png --out runs/systems    goes on where it was stopped
    python -m studies.systems report --out studies/systems

Where OUT holds results.json, what it has is kept, and what is measured now is added with commit and machine.
Weights are random: counts, time and memory do not depend on them (bits that are unlikely cost the range
coder a little more). Each system is measured in a process of its own.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calotype.lab import registry
from calotype.lab.models.base import LabModel
from calotype.records.provenance import commit, processor, provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.systems.page import page

SIDE = 256
PARTS = 4
"""Of progressive systems' files: half a bit per pixel at most."""
PRODUCT = "calotype"
RESULTS, PAGE = "results.json", "results.md"


def peak() -> float:
    """MiB: the largest that this process has been since `reset_peak` (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reset_peak() -> None:
    """Begin counting `peak` anew."""
    Path("/proc/self/clear_refs").write_text("5")


def counted(name: str) -> dict[str, Any]:
    """What follows from the layers alone."""
    from calotype.lab.analysis.complexity import kmacs_per_pixel, parameters

    with torch.device("meta"):
        model: Any = registry.build(name)
    progressive = name != PRODUCT and bool(model.progressive)
    kmacs = kmacs_per_pixel(model)
    encoder = sum(v for k, v in kmacs.items() if k in ("g_a", "h_a", "analysis"))
    decoding = None if progressive else kmacs["total"] - encoder
    record = {"system": name, "parameters": parameters(model), "parts": PARTS if progressive else None}
    return record | {"kmacs": kmacs["total"], "kmacs_decoding": decoding}


def measure_one(name: str, pixels: np.ndarray) -> dict[str, Any]:
    """One system; what it holds, codes and decodes.  The product: its default pack and the program."""
    import calotype
    from calotype.lab.codec import ModelCodec

    torch.set_num_threads(1)
    torch.manual_seed(0)
    record = counted(name) | {"commit": commit(), "processor": processor()}
    reset_peak()
    before = peak()
    encode: Any = partial(calotype.encode, pixels, threads=1)
    decode: Any = partial(calotype.decode, threads=1)
    if name != PRODUCT:
        model: Any = registry.build(name).eval()
        codec = ModelCodec(model)
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        encode = partial(codec.compress, x, **({"parts": PARTS} if record["parts"] else {}))
        decode = codec.decompress

    def timed(run: Any) -> tuple[Any, dict[str, float]]:
        reset_peak()
        begin = time.process_time()
        result = run()
        return result, {"seconds": time.process_time() - begin, "peak_mib": peak() - before}

    data, record["encode"] = timed(encode)
    _, record["decode"] = timed(lambda: decode(data))
    return record | {"bytes": len(data)}


def measured(name: str, pixels: np.ndarray, folder: Path) -> None:
    """`measure_one` in a process of its own, its result in ``folder``; a failure is told and leaves
    nothing."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    status = 1
    try:
        record = measure_one(name, pixels)
        temporary = folder / f".{name}.tmp"
        temporary.write_text(json.dumps(record))
        temporary.replace(folder / f"{name}.json")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, or make the page of stored results."""
    begun = time.monotonic()
    parser = parser_of(__file__, __doc__)
    parser.add_argument("part", choices=("measure", "report"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--picture", type=Path, metavar="PATH", help=f"its middle {SIDE} x {SIDE} pixels are coded"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these systems; default: all")
    minutes = "begin no further system after so long; those are counted only"
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="N", help=minutes)
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part == "measure":
        from PIL import Image

        if not given.picture:
            parser.error("--picture is needed for measuring")
        with Image.open(given.picture) as opened:
            w, h = opened.size
            box = ((w - SIDE) // 2, (h - SIDE) // 2)
            pixels = np.array(opened.convert("RGB").crop((*box, box[0] + SIDE, box[1] + SIDE)))
        given.out.mkdir(parents=True, exist_ok=True)
        stored = made_of(given.out / RESULTS, dict) if (given.out / RESULTS).is_file() else {}
        kept = {s["system"]: s for s in stored.get("systems", [])}
        names = [*registry.names(LabModel), PRODUCT]
        for name in given.only or [n for n in names if n not in kept]:
            if time.monotonic() < begun + 60 * given.minutes and not (given.out / f"{name}.json").is_file():
                measured(name, pixels, given.out)
                print(name, flush=True)
        for name in names:
            file = given.out / f"{name}.json"
            if file.is_file():
                kept[name] = json.loads(file.read_text())
            elif name not in kept:
                kept[name] = counted(name)
        record = stored or provenance(run_as(__file__, arguments))
        record |= {"picture": given.picture.name, "side": SIDE, "systems": [kept[name] for name in names]}
        (given.out / RESULTS).write_text(json.dumps(record, indent=1) + "\n")
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))


if __name__ == "__main__":
    sys.exit(main())
