"""Files that a fuzzer found new ways with (native/fuzz_files.cpp).

They give pixels or our errors, in WebAssembly the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.conftest import every
from tests.tools import need

import calotype

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web" / "decoder"
TINY = ROOT / "tests" / "data" / "tiny" / "tiny.zip"
CORPUS = ROOT / "tests" / "data" / "fuzz" / "files.zip"
MOST = 2**18
KINDS = {calotype.LimitError: "limit", calotype.FormatError: "format", calotype.PackError: "pack"}


def outcome(data: bytes) -> str:
    """The hash of the pixels as RGBA, of what is left of damaged files; or the kind of error."""
    try:
        image = calotype.decode(data, pack=TINY, damaged="keep", max_pixels=MOST)
    except calotype.CalotypeError as error:
        return next(kind for known, kind in KINDS.items() if isinstance(error, known))
    whole = image.convert("LA") if image.mode == "L" else image
    return hashlib.sha256(whole.convert("RGBA").tobytes()).hexdigest()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    with zipfile.ZipFile(CORPUS) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_each_is_pixels_or_an_error_of_ours(files: dict[str, bytes]) -> None:
    found = [outcome(data) for data in files.values()]
    assert {"format", "limit"} <= set(found)
    assert sum(len(result) == 64 for result in found) > len(found) // 3


@pytest.mark.parametrize("apart", every(2, [8, 1]))
def test_webassembly_says_the_same(files: dict[str, bytes], tmp_path: Path, apart: int) -> None:
    node = need("node", "nodejs")
    with zipfile.ZipFile(TINY) as archive:
        archive.extractall(tmp_path / "tiny")
    chosen = dict(list(files.items())[::apart])
    paths = [tmp_path / name for name in chosen]
    for path, data in zip(paths, chosen.values(), strict=True):
        path.write_bytes(data)
    command = [node, Path(__file__).parent / "corpus.mjs", WEB / "calotype.js", WEB / "calotype.wasm"]
    told = subprocess.run(
        [*command, tmp_path / "tiny", str(MOST), *paths], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(told) == {name: outcome(data) for name, data in chosen.items()}
