"""How a decoder finds and opens the pack that a file names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from tests.golden import DATA

import calotype
from calotype.bitstream import parse
from calotype.codec import library, manifest
from calotype.codec.opening import open_native
from calotype.errors import PackError
from calotype.pack import files

SHIPPED = sorted((DATA / "shipped").glob("photo-eyes-*.calo"))


def opened_ahead() -> None:
    for thread in threading.enumerate():
        if thread.name == "calotype-pack":
            thread.join()


def test_a_pack_that_is_expected_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_natives", {})
    library.expect(str(SHIPPED[0]), None)
    opened_ahead()
    (ahead,) = library._natives.values()
    assert library.native(parse(SHIPPED[0].read_bytes()).header) is ahead


@pytest.mark.parametrize(
    "content", [b"", b"\xcaLO", b"\xcaLO\x01\x40" + bytes(30), b"\xcaLO\x01\x40" + b"\xff" * 9]
)
def test_what_is_no_file_of_a_known_pack_is_not_complained_of(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_natives", {})
    (tmp_path / "x.calo").write_bytes(content)
    for name in ("x.calo", "missing.calo", "."):
        library.expect(str(tmp_path / name), None)
    opened_ahead()
    assert library._natives == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_read_ahead(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    library.expect(str(tmp_path / "pipe"), None)
    assert all(thread.name != "calotype-pack" for thread in threading.enumerate())


@pytest.mark.parametrize(
    "spoilt", [b"{", b"[]", b'{"id": 3, "levels": 8}', b'{"levels": 8}', b'{"id": "zz"}']
)
def test_a_broken_manifest_of_ours_is_named(
    spoilt: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "BUILT_IN", tmp_path)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "manifest.json").write_bytes(spoilt)
    with pytest.raises(PackError, match=r"pack [0-9a-f]{8} is needed .*manifest\.json"):
        library.native(parse(SHIPPED[0].read_bytes()).header)


def test_little_of_a_pack_of_ours_is_read_to_find_it() -> None:
    """And it says what all of the manifest does."""
    for path in library.paths():
        fields = manifest.parse(manifest.read(path, manifest.NAME), str(path))
        assert library._described(path) == (bytes.fromhex(fields.id[:8]), fields.max_level)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [files.TABLES, files.NETWORKS])
def test_a_bit_gone_wrong_in_a_pack_of_ours_is_noticed(tmp_path: Path, name: str, packed: bool) -> None:
    """By a hash, or by the checksum of what is compressed."""
    pack = tmp_path / "photo-eyes"
    shutil.copytree(library.BUILT_IN / "photo-eyes", pack)
    open_native(pack, installed=True)
    path = pack / f"{name}{files.PACKED if packed else ''}"
    data = bytearray(files.read(pack, name, unpack=not packed))
    path.write_bytes(data)
    open_native(pack, installed=True)
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackError, match="unpacked" if packed else f"{name} is damaged"):
        open_native(pack, installed=True)


def test_decoding_takes_no_part_of_an_encoder(tmp_path: Path) -> None:
    """Nor NumPy, whose import takes as long as decoding a small picture."""
    code = (
        "import json, sys; from calotype.cli import main; "
        f"status = main(['decode', {str(SHIPPED[0])!r}, '-o', {str(tmp_path / 'x.ppm')!r}, '--quiet']); "
        "print(json.dumps([status, sorted(sys.modules)]))"
    )
    status, modules = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert status == 0
    unwanted = {"numpy", "gzip", "onnxruntime", "PIL.ImageCms", "calotype.codec.pack"}
    unwanted |= {"calotype.codec.encoder", "calotype.codec.manifest", "calotype.codec.convert"}
    assert not unwanted & set(modules)


@pytest.mark.parametrize("options", [[], ["--workers", "1"]])
def test_a_photograph_becomes_a_png_without_pillow(options: list[str], tmp_path: Path) -> None:
    """Nor does it import what else takes as long as Python does; without options not what these need."""
    out = tmp_path / "x.png"
    command = [sys.executable, "-X", "importtime", "-m", "calotype", "decode", str(SHIPPED[0]), str(out)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert ("calotype.codec.decoder" in modules) == bool(options)
    unwanted = {"PIL", "PIL.Image", "dataclasses", "inspect", "logging", "concurrent.futures"}
    assert not (unwanted if options else unwanted | {"argparse", "json", "pathlib", "struct"}) & modules
    with Image.open(out) as image:
        assert image.tobytes() == calotype.decode(SHIPPED[0].read_bytes()).tobytes()
