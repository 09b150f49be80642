"""Packs from strangers: whatever is wrong with one is a PackError, and none takes more memory than it may."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.codec import manifest
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.coder.files import open_pack
from calotype.errors import PackError
from calotype.pack import files

HUGE = 10**400
"""A whole number in JSON, and beyond all floating point."""
DEEP = "[" * 600 + "]" * 600
"""What the reader of JSON takes, and what cannot be printed."""
DAMAGE = b"\xff" * 99


def zipped(pack: Pack, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in (manifest.NAME, *manifest.FILES):
            archive.writestr(name, manifest.read(pack.path, name))
    return path


def damaged(path: Path, name: str) -> None:
    """Overwrite the middle of what is stored of a file of a zip."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name)
    data = bytearray(path.read_bytes())
    middle = entry.header_offset + 30 + len(name) + entry.compress_size // 2
    data[middle : middle + len(DAMAGE)] = DAMAGE
    path.write_bytes(data)


def refused(path: Path, coded: bytes, message: str) -> None:
    """Both ways that a pack is opened: for all that it has, and to decode."""

    def use() -> None:
        pack = Pack(path)
        _ = pack.decoder, pack.encoder

    for way in (use, lambda: decode(coded, pack=path)):
        with pytest.raises(PackError, match=message) as caught:
            way()
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def coded(tiny: Pack, scene: Callable[..., np.ndarray]) -> bytes:
    """A file of a pack that is nowhere but where the caller says."""
    return encode(Picture(scene(30, 16)), pack=tiny).data


@pytest.fixture(scope="module")
def fields(tiny: Pack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.read(tiny.path, manifest.NAME))
    return found


def with_manifest(tiny: Pack, folder: Path, text: str) -> Path:
    for name in manifest.FILES:
        (folder / name).write_bytes(manifest.read(tiny.path, name))
    (folder / manifest.NAME).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quality": [[0, 0], [100, HUGE]]}, "quality must be pairs"),
        ({"visual": {"scores": [1, 2], "weights": [[HUGE]] * 2, "bounds": [[0, 1]] * 2}}, "visual: "),
        ({"levels": HUGE}, "levels must be"),
        ({"name": ["x"]}, "name must be a string"),
        ({"z_limit": 1022}, "z_limit must be 1023"),
        ({"z_limit": 1024}, "z_limit must be 1023"),
    ],
)
def test_manifests(
    tiny: Pack, coded: bytes, fields: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    refused(with_manifest(tiny, tmp_path, json.dumps(fields | changes)), coded, message)


def test_a_manifest_of_brackets(tiny: Pack, coded: bytes, tmp_path: Path) -> None:
    refused(with_manifest(tiny, tmp_path, "[" * 200_000), coded, "nested too deeply")


def test_deep_values_are_refused_or_left_alone(fields: dict[str, Any]) -> None:
    for name in fields:
        text = json.dumps(fields | {name: "HERE"}).replace('"HERE"', DEEP)
        if name == "training":
            assert manifest.parse(text.encode(), "x").distortion == "mse"
        else:
            with pytest.raises(PackError, match=rf"manifest\.json: .*{name}"):
                manifest.parse(text.encode(), "x")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(HUGE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)


@settings(deadline=None)
@given(st.data(), VALUES)
def test_no_value_of_a_field_is_another_error(
    fields: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    name = data.draw(st.sampled_from([*fields, "visual"]))
    text = json.dumps(fields | {name: value}).encode()
    message = ""
    try:
        assert manifest.parse(text, "x").id == fields["id"]
    except PackError as error:
        message = str(error)
    assert not message or name in message


def test_the_native_reader_knows_one_z_limit(tiny: Pack, fields: dict[str, Any]) -> None:
    """What opens a pack without Python, as on a page."""
    files = [manifest.read(tiny.path, name) for name in (manifest.TABLES, manifest.NETWORKS)]
    open_pack(json.dumps(fields).encode(), *files)
    for limit in (1022, 1024, None):
        with pytest.raises(ValueError, match="z_limit must be 1023"):
            open_pack(json.dumps(fields | {"z_limit": limit}).encode(), *files)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_STORED])
def test_damage_in_a_zip(tiny: Pack, coded: bytes, tmp_path: Path, method: int) -> None:
    path = zipped(tiny, tmp_path / "pack.zip", method)
    assert decode(coded, pack=path).picture.width == 16
    for name in (manifest.NETWORKS, manifest.NAME):
        other = Path(shutil.copy(path, tmp_path / f"{name}.zip"))
        damaged(other, name)
        refused(other, coded, rf"{name} cannot be read: \w")


def test_an_encrypted_zip(tiny: Pack, coded: bytes, tmp_path: Path) -> None:
    data = bytearray(zipped(tiny, tmp_path / "pack.zip").read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(start)
        data[at + flags] |= 1
    (tmp_path / "pack.zip").write_bytes(data)
    refused(tmp_path / "pack.zip", coded, "encrypted")


def test_bzip2_is_not_read(tiny: Pack, coded: bytes, tmp_path: Path) -> None:
    refused(zipped(tiny, tmp_path / "pack.zip", zipfile.ZIP_BZIP2), coded, "compressed by bzip2")


def test_a_file_that_is_missing(tiny: Pack, coded: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        archive.writestr(manifest.NAME, manifest.read(tiny.path, manifest.NAME))
    refused(tmp_path / "pack.zip", coded, rf"{manifest.TABLES} cannot be read")


@settings(deadline=None)
@given(st.data(), st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
def test_zips_with_any_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, method: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(manifest.NAME, b"of a pack " * 9)
    content = bytearray(path.read_bytes())
    changes = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(changes, min_size=1, max_size=6)):
        content[place] = value
    path.write_bytes(content[: data.draw(st.integers(len(content) - 9, len(content)))])
    with contextlib.suppress(OSError, KeyError):
        assert len(manifest.read(path, manifest.NAME)) <= 90


def test_nothing_unpacks_without_end(
    tiny: Pack, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As zip, as gzip, and as it is, with a smaller limit: more is refused before it takes memory."""
    assert files.MAX_BYTES == 1 << 28  # native/pack.hpp: max_bytes
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    much = bytes(1 << 23)
    folder, packed, name = tmp_path / "folder", tmp_path / "packed", manifest.TABLES
    for made in (folder, packed):
        made.mkdir()
        (made / manifest.NAME).write_bytes(manifest.read(tiny.path, manifest.NAME))
    (folder / name).write_bytes(much)
    (packed / f"{name}.gz").write_bytes(gzip.compress(much))
    methods = {"deflate.zip": zipfile.ZIP_DEFLATED, "lzma.zip": zipfile.ZIP_LZMA}
    for file, method in methods.items():
        with zipfile.ZipFile(tmp_path / file, "w", method) as archive:
            archive.writestr(manifest.NAME, manifest.read(tiny.path, manifest.NAME))
            archive.writestr(name, much)
    del much
    for path in (folder, packed, tmp_path / "deflate.zip"):
        tracemalloc.start()
        with pytest.raises(PackError, match=rf"{name}.* has more than 2\^28 bytes"):
            Pack(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()
    with pytest.raises(PackError, match=r"has more than 2\^28 bytes"):
        Pack(tmp_path / "lzma.zip")
    with pytest.raises(PackError, match=r"has more than 2\^28 bytes"):
        decode(coded, pack=folder)
