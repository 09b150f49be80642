"""The stored files of tests/data decode in WebAssembly to what they held when they were written, bit for bit:
what tests/codec/test_conformance.py asks of the other kernels.
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import TINY
from tests.golden import DATA, KNOWN
from tests.tools import need

from calotype.bitstream import NO_PACK, parse
from calotype.codec import library

WEB = Path(__file__).parents[2] / "web" / "decoder"
SCRIPT = Path(__file__).parent / "conformance.mjs"


def compare(wasm: Path, folder: Path) -> None:
    node, known = need("node", "nodejs"), dict[str, dict[str, Any]]()
    with zipfile.ZipFile(TINY) as archive:
        archive.extractall(folder / "tiny")
    files = [path for name in ("tiny", "shipped") for path in sorted((DATA / name).glob("*.calo"))]
    for name in ("tiny", "shipped"):
        known |= json.loads((DATA / name / KNOWN).read_text("utf-8"))
    packs = [str(path) for path in (folder / "tiny", *library.paths())]
    command = [node, SCRIPT, WEB / "calotype.js", wasm, json.dumps(packs), *files]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found == {path.stem: {k: known[path.stem][k] for k in ("pixels", "preview")} for path in files}
    keys = {parse(path.read_bytes()).header.pack_id for path in files} - {NO_PACK}
    assert len(keys) == 1 + len(library.TUNES)  # none of the packs is left out


def test_the_module_that_is_stored(tmp_path: Path) -> None:
    compare(WEB / "calotype.wasm", tmp_path)


@pytest.mark.slow
def test_a_module_built_anew(tmp_path: Path) -> None:
    need("em++", "emscripten")
    subprocess.run([WEB / "build.sh", tmp_path], check=True)
    compare(tmp_path / "calotype.wasm", tmp_path)
