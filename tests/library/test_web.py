"""web/decoder under Node: the same pixels as calotype.decode, bit for bit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.golden import captioned, scene
from tests.tools import need

import calotype
from calotype.api import to_picture
from calotype.bitstream import parse
from calotype.cli import view
from calotype.codec.bits import count
from calotype.codec.encoder import encode

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web" / "decoder"
TINY = ROOT / "tests" / "data" / "tiny" / "tiny.zip"
SCRIPT = Path(__file__).parent / "decode.mjs"


def node() -> str:
    return need("node", "nodejs")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of several kinds, one damaged."""
    colour = scene(90, 150, 3)
    alpha = (np.add.outer(np.arange(90), np.arange(150)) % 256).astype(np.uint8)
    text = np.full((100, 200, 3), 250, np.uint8)
    text[:, :100] = scene(100, 100, 4)
    text[20:90:9, 130:190] = 0
    pictures: dict[str, Any] = {
        "tiles": colour,
        "grey": colour[:, :, :1],
        "alpha": np.dstack([colour, alpha]),
        "text": text,
        "caption": captioned(150, 260, 12),  # in a layer
        "flat": np.full((40, 50, 3), 77, np.uint8),
    }
    folder, found = tmp_path_factory.mktemp("files"), {}
    for name, picture in pictures.items():
        data = encode(to_picture(picture), quality=60, pack=TINY, tile=64).data
        found[name] = folder / f"{name}.calo"
        found[name].write_bytes(data)
    assert parse(found["caption"].read_bytes()).layer
    hurt = bytearray(found["tiles"].read_bytes())
    hurt[calotype.probe(bytes(hurt))["chunks"][1]["offset"] + 9] ^= 4
    found["hurt"] = folder / "hurt.calo"
    found["hurt"].write_bytes(hurt)
    return found


def sha256(image: Image.Image) -> str:
    whole = image.convert("LA") if image.mode == "L" else image
    return hashlib.sha256(whole.convert("RGBA").tobytes()).hexdigest()


def assert_probed(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The probe of the module says what ours does, but for the checksums' values and how an error is put."""
    wanted["chunks"] = [{k: v for k, v in chunk.items() if k != "crc"} for chunk in wanted["chunks"]]
    assert (found.pop("error") is None) == (wanted.pop("error") is None)
    assert {k: v for k, v in wanted.items() if k in found} == {k: v for k, v in found.items() if k in wanted}
    assert set(found) <= set(wanted)
    assert {"width", "pack_id", "chunks", "bpp"} <= set(found)


def compare(wasm: Path, files: dict[str, Path], folder: Path) -> None:
    with zipfile.ZipFile(TINY) as archive:
        archive.extractall(folder / "tiny")
    command = [node(), SCRIPT, WEB / "calotype.js", wasm, folder / "tiny", *files.values()]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for (name, path), line in zip(files.items(), lines, strict=True):
        data, found = path.read_bytes(), json.loads(line)
        kept = calotype.decode(data, pack=TINY, damaged="keep")
        small = calotype.preview(data, pack=TINY, damaged="keep")
        size = {"width": kept.width, "height": kept.height, "damaged": name == "hurt"}
        assert found["kept"] == {**size, "sha256": sha256(kept)}, name
        assert found["parts"] == found["kept"], name
        assert_probed(found["probe"], calotype.probe(data))
        assert found["preview"]["sha256"] == sha256(small), name
        assert found["limit"]["error"] == "limit"
        if name == "hurt":
            assert found["bits"] == "format"
            whole = count(files["tiles"].read_bytes(), pack=TINY).of("all")
            whole[:4, 4:8] = 0  # the second tile is damaged
            np.testing.assert_allclose(np.reshape(found["keptBits"], whole.shape), whole, rtol=1e-5)
            assert found["whole"]["error"] == found["region"]["error"] == found["info"] == "format"
            continue
        assert found["whole"]["sha256"] == sha256(kept), name
        told = count(data, pack=TINY).of("all")
        assert (found["bits"]["height"], found["bits"]["width"]) == told.shape
        np.testing.assert_allclose(np.reshape(found["bits"]["data"], told.shape), told, rtol=1e-5)
        assert found["bits"]["data"] == found["keptBits"]
        assert found["region"]["sha256"] == sha256(kept.crop((3, 5, 40, 30))), name
        assert found["info"]["packId"] == calotype.probe(data)["pack_id"]
        assert found["lost"].get("error") == ("pack" if name != "flat" else None)


def test_the_module_that_is_stored(files: dict[str, Path], tmp_path: Path) -> None:
    compare(WEB / "calotype.wasm", files, tmp_path)
    assert (
        sum((WEB / name).stat().st_size for name in ("calotype.js", "library.js", "calotype.wasm")) < 300_000
    )


def with_part(folder: Path) -> Path:
    """The tiny pack with a file of what previews need, as ``calotype view --copy-to`` writes it."""
    with zipfile.ZipFile(TINY) as archive:
        archive.extractall(folder)
    part = view.preview_part((folder / "networks.safetensors").read_bytes())
    (folder / view.PREVIEW).write_bytes(part)
    fields = json.loads((folder / "manifest.json").read_text("utf-8"))
    fields["preview"] = hashlib.sha256(part).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(fields), "utf-8")
    return folder


def test_a_part_of_the_pack_is_enough_for_previews(files: dict[str, Path], tmp_path: Path) -> None:
    """And for no more; what is wrong with it is found, and then the whole pack is taken."""
    pack, data = with_part(tmp_path / "pack"), files["tiles"].read_bytes()
    wanted = sha256(calotype.preview(data, pack=TINY)), sha256(calotype.decode(data, pack=TINY))

    def told() -> list[str]:
        command = [node(), SCRIPT.parent / "preview.mjs", WEB / "calotype.js", WEB / "calotype.wasm", pack]
        done = subprocess.run([*command, files["tiles"]], check=True, capture_output=True, text=True)
        return done.stdout.split()

    assert calotype.decode(data, pack=pack) == calotype.decode(data, pack=TINY)  # it is a pack as before
    assert told() == [*wanted]
    networks = (pack / "networks.safetensors").read_bytes()
    (pack / "networks.safetensors").unlink()
    assert told() == [wanted[0], "unread"]
    (pack / view.PREVIEW).write_bytes(networks)  # another hash
    assert told() == ["unread", "unread"]
    (pack / "networks.safetensors").write_bytes(networks)
    assert told() == [*wanted]


@pytest.mark.slow
def test_a_module_built_anew(files: dict[str, Path], tmp_path: Path) -> None:
    need("em++", "emscripten")
    subprocess.run([WEB / "build.sh", tmp_path], check=True)
    compare(tmp_path / "calotype.wasm", files, tmp_path)
