"""What both calls share."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
"""The folder that travelled."""
BEGUN = time.monotonic()
Fields = dict[str, Any]


USUAL: Fields = {"bf16": True, "graph": True, "leak": 0.1, "borders": 0.35}
"""How both calls train, unless it turns out not to work."""


def kept() -> Path:
    """Where files stay between the calls: outside the folder that travels, which comes anew."""
    return Path(os.environ.get("CALOTYPE_GPU", Path.home() / "calotype-gpu"))


def environment() -> bool:
    """For this process and those that it starts: sources, caches of compilers that stay, and a Pillow that
    reads AVIF; False if there is none.
    """
    caches = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
    os.environ.update({name: str(kept() / folder) for name, folder in caches.items()})
    os.environ["PYTHONPATH"] = str(HERE / "src")
    os.environ["PYTHONUNBUFFERED"] = "1"
    if avif():
        return True
    for wheel in sorted((HERE / "wheels").glob("*.whl")):
        tell(f"Pillow without AVIF: {wheel.name} in its place")
        with zipfile.ZipFile(wheel) as files:
            files.extractall(kept() / "site")
        os.environ["PYTHONPATH"] = f"{HERE / 'src'}{os.pathsep}{kept() / 'site'}"
        return avif()
    return False


def avif() -> bool:
    """Whether the Pillow that processes will import reads AVIF."""
    code = "import sys; from PIL import features; sys.exit(not features.check('avif'))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def tell(text: str) -> None:
    """A line, with the seconds since the call began."""
    print(f"[{time.monotonic() - BEGUN:6.1f}] {text}", flush=True)


def setting(fields: Fields) -> list[str]:
    """Options of a training command."""
    return [word for key, value in fields.items() for word in ("--set", f"{key}={value}")]


def notes(checkpoint: Path) -> Fields:
    """What a checkpoint says beside its tensors, read without torch; empty if there is none."""
    try:
        with checkpoint.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        found: Fields = json.loads(head["__metadata__"]["state"])
    except (OSError, ValueError, LookupError):
        return {}
    return found


def start() -> Path:
    """The weights that travelled."""
    return HERE / "start" / "checkpoint.safetensors"


def packed(given: argparse.Namespace, name: str) -> subprocess.Popen[bytes]:
    """Decode the photographs that travelled into ``--keep``, with variants, beside whatever else is done."""
    code = (
        "import json, sys; from pathlib import Path; from calotype.lab.train.variants import pack_varied; "
        "pack_varied(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))"
    )
    held_out = json.dumps(notes(start()).get("data", {}).get("held out", []))
    words = [code, str(HERE / "photos"), str(given.keep / name), held_out]
    return subprocess.Popen([sys.executable, "-c", *words])


def end(process: subprocess.Popen[Any]) -> None:
    """End a process that was started in a group of its own, with all that it started.

    A session of its own would outlive a call that is cut off, and disturb the next one.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
