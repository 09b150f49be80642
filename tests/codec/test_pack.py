"""Opening packs, finding them, and refusing those that are not fit for use."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calotype.bitstream import Header, write
from calotype.codec import library, manifest, tensors
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.errors import PackError
from calotype.pack.files import identity

from .arrays import packed


@pytest.fixture
def copy(pack: Pack, tmp_path: Path) -> Path:
    """A copy of the shipped pack that a test may change."""
    return Path(shutil.copytree(pack.path, tmp_path / "copy"))


def sealed(folder: Path, **changes: Any) -> Path:
    """Write hashes, id and `changes` into the manifest, as an exporter does."""
    fields = json.loads((folder / "manifest.json").read_text())
    fields["files"] = {
        name: hashlib.sha256(manifest.read(folder, name)).hexdigest() for name in fields["files"]
    }
    fields["id"] = identity(fields["files"])
    fields.update(changes)
    (folder / "manifest.json").write_text(json.dumps(fields))
    return folder


def save_tables(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Rewrite tables.safetensors after `change`, in the layout that the safetensors README gives."""
    tables = {
        name: array.copy() for name, array in tensors.load(manifest.read(folder, manifest.TABLES)).items()
    }
    change(tables)
    (folder / manifest.TABLES).write_bytes(packed(tables))


def test_a_copy_is_the_same_pack(pack: Pack, copy: Path) -> None:
    assert Pack(sealed(copy)).key == pack.key
    save_tables(copy, lambda tables: None)
    assert Pack(sealed(copy)).coder.channels == pack.manifest.latents


def test_a_changed_file_is_refused(pack: Pack, copy: Path, scene: Callable[..., np.ndarray]) -> None:
    for name in pack.manifest.files:
        folder = copy.parent / name
        shutil.copytree(copy, folder)
        content = bytearray(manifest.read(folder, name))
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(PackError, match=f"{name}.* hash"):
            _use(Pack(folder))


def test_a_pack_of_the_package_is_checked_without_its_hashes(
    copy: Path, scene: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights are found by the pixels that they give, damage of a compressed file by its checksum."""
    data = encode(Picture(scene(30, 30)), pack=copy).data
    path = copy / "networks.safetensors"
    good = manifest.read(copy, path.name)
    content = bytearray(good)
    content[-4000:] = bytes(4000)  # weights of the last layers
    damaged = bytearray(gzip.compress(good))
    damaged[len(damaged) // 2] ^= 1

    def refused(stored: bytes, why: str) -> None:
        library._natives.clear()
        path.write_bytes(stored)
        with pytest.raises(PackError, match=why):
            decode(data)

    monkeypatch.setenv(library.VARIABLE, str(copy))
    refused(content, "hash")
    monkeypatch.delenv(library.VARIABLE)
    monkeypatch.setattr(library, "BUILT_IN", copy.parent.resolve())
    refused(content, "other pixels")
    refused(damaged, "unpacked")
    path.write_bytes(good)
    assert decode(data).picture.width == 30


def test_files_of_a_folder_may_be_compressed(pack: Pack, copy: Path) -> None:
    """The same pack; what is cut off is an error of the pack."""
    for name in pack.manifest.files:
        data = manifest.read(copy, name)
        (copy / f"{name}.gz").write_bytes(gzip.compress(data))
        (copy / name).unlink(missing_ok=True)
    found = Pack(copy)
    assert found.manifest.id == pack.manifest.id
    assert found.file(manifest.ENCODER) == pack.file(manifest.ENCODER)
    whole = (copy / "encoder.safetensors.gz").read_bytes()
    for spoilt in (whole[:-100], whole[:200] + b"\xff" * 100 + whole[300:], b"no gzip"):
        (copy / "encoder.safetensors.gz").write_bytes(spoilt)
        with pytest.raises(PackError, match="encoder"):
            Pack(copy).file(manifest.ENCODER)


def _use(pack: Pack) -> None:
    _ = pack.coder, pack.decoder, pack.encoder


def test_a_decoder_does_not_need_the_encoders_networks(
    pack: Pack, copy: Path, scene: Callable[..., np.ndarray]
) -> None:
    data = encode(Picture(scene(30, 30)), pack=pack).data
    manifest.stored(copy, manifest.ENCODER).unlink()
    opened = Pack(copy)
    assert decode(data, pack=opened).picture.width == 30
    with pytest.raises(PackError, match=r"encoder\.safetensors cannot be read"):
        encode(Picture(scene(30, 30)), pack=opened)


def test_another_encoder_is_the_same_pack(pack: Pack, copy: Path) -> None:
    """Files of one and the other have one id: what decodes them is the same."""
    arrays = dict(tensors.load(manifest.read(copy, manifest.ENCODER)))
    arrays["unit"] = arrays["unit"] * np.float32(1.5)
    (copy / manifest.ENCODER).write_bytes(packed(arrays))
    other = Pack(sealed(copy))
    assert other.manifest.id == pack.manifest.id
    assert other.manifest.files != pack.manifest.files
    pixels = np.zeros((16, 16, 3), np.uint8)
    np.testing.assert_allclose(other.encoder.analysis(pixels), 1.5 * pack.encoder.analysis(pixels), rtol=1e-6)


def test_other_classes_than_the_golden_ones_are_refused(copy: Path) -> None:
    def change(tables: dict[str, np.ndarray]) -> None:
        tables["golden_index"][0, 3, 1, 1] ^= 1

    save_tables(copy, change)
    opened = Pack(sealed(copy))
    with pytest.raises(PackError, match="the coder computes other classes"):
        opened.coder  # noqa: B018


def test_decoding_runs_the_golden_vector(copy: Path, scene: Callable[..., np.ndarray]) -> None:
    data = encode(Picture(scene(30, 30)), pack=Pack(sealed(copy))).data

    def change(tables: dict[str, np.ndarray]) -> None:
        tables["golden_index"][-1, 0, 0, 0] ^= 1

    save_tables(copy, change)
    other = Pack(sealed(copy))
    renamed = data[:5] + other.key + data[9:]
    with pytest.raises(PackError, match="other classes"):
        decode(_with_checksums(renamed, other, data), pack=other)


def _with_checksums(_: bytes, pack: Pack, data: bytes) -> bytes:

    from calotype.bitstream import parse

    file = parse(data)
    return write(file.header.replace(pack_id=pack.key), file.tiles)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"stride": 8}, "stride"),
        ({"id": "0" * 64}, "does not follow"),
        ({"levels": 1}, "levels"),
        ({"levels": True}, "levels"),
        ({"latents": "many"}, "latents"),
        ({"z_limit": 0}, "z_limit"),
        ({"synthesis_margin": -1}, "synthesis_margin"),
        ({"tile": 1000}, "power of two"),
        ({"coder": 99}, "entropy coder 99"),
        ({"quality": [[0, 0], [50, 300], [100, 200]]}, "rise"),
        ({"quality": [[0, 0], [90, 200]]}, "0 to 100"),
        ({"quality": [[0, 0], [100, 10**6]]}, "levels 0 to"),
        ({"quality": "high"}, "pairs"),
        ({"files": {}}, "SHA-256"),
    ],
)
def test_a_manifest_that_breaks_the_contract(copy: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PackError, match=message):
        Pack(sealed(copy, **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_manifest_that_is_none(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(PackError, match=r"manifest\.json"):
        Pack(copy)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("low_gain", lambda t: t[:, :, :-1].copy()),
        ("high_gain", lambda t: -t),
        ("low_gain", lambda t: t * np.inf),
        ("z_mul", lambda t: t.astype(np.int64)),
        ("high_bias", lambda t: t + (1 << 25)),
        ("golden_index", lambda t: t[:, :, :-1].copy()),
        ("r_frequencies", lambda t: t[:-1].copy()),
        ("z_lengths", lambda t: t[::-1].copy() + 1),
        ("z_offsets", None),
        ("level_vector", None),
        ("level_vector", lambda t: t[:, 1:].copy()),
        ("low_log_step", lambda t: t.astype(np.float64)),
        ("low_log_step", lambda t: t - (1 << 22)),
        ("unit", None),
        ("unit", lambda t: t * np.nan),
        ("unit", lambda t: 0 * t),
        ("unit", lambda t: -t),
        ("golden_pixels", lambda t: t[:, 1:].copy()),
        ("golden_preview", None),
        ("golden_level", lambda t: t - 1),
        ("golden_level", lambda t: t + 10_000),
    ],
)
def test_tables_that_break_the_contract(copy: Path, name: str, table: Any) -> None:
    def change(tables: dict[str, np.ndarray]) -> None:
        if table is None:
            del tables[name]
        else:
            tables[name] = table(tables[name])

    save_tables(copy, change)
    with pytest.raises(PackError, match=manifest.TABLES):
        Pack(sealed(copy))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: None, "the hash"),
        (lambda t: t.pop("unit"), "unit: must be float32"),
        (lambda t: t.pop("analysis.merge.weight"), "analysis.merge.weight: missing"),
        (lambda t: t.update({"analysis.merge.bias": t["analysis.merge.bias"][1:]}), "must be int32 of shape"),
        (lambda t: t.update({"analysis.patch.mul": -t["analysis.patch.mul"]}), "must be above 0"),
        (lambda t: t.update(narrow(t)), "is for 368 latents and 4 hyper-latents"),
    ],
)
def test_an_encoder_that_breaks_the_contract(
    copy: Path, scene: Callable[..., np.ndarray], change: Callable[[dict[str, np.ndarray]], Any], message: str
) -> None:
    """One line, of the pack, when something is encoded."""
    arrays = dict(tensors.load(manifest.read(copy, manifest.ENCODER)))
    change(arrays)
    data = packed(arrays)
    (copy / manifest.ENCODER).write_bytes(data if message != "the hash" else data[:-1] + b"x")
    opened = Pack(copy if message == "the hash" else sealed(copy))
    with pytest.raises(PackError, match=message) as caught:
        encode(Picture(scene(30, 30)), pack=opened)
    assert "\n" not in str(caught.value)


def narrow(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An encoder's arrays for 16 latents less."""
    found, m = {}, len(arrays["unit"])
    for name, array in arrays.items():
        for axis, size in enumerate(array.shape):
            if size == m and "hyper_analysis" not in name and "blocks8" not in name and "patch" not in name:
                array = np.take(array, range(m - 16), axis)
        if name == "hyper_analysis.bands.weight":
            array = array[:, :-16]
        elif name == "hyper_analysis.reduce.weight":
            array = np.concatenate((array[:, : m - 16], array[:, m:-16]), 1)
        found[name] = np.ascontiguousarray(array)
    return found


def test_a_zip_is_a_pack(pack: Pack, tmp_path: Path, scene: Callable[..., np.ndarray]) -> None:
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as file:
        for path in pack.path.iterdir():
            file.write(path, path.name)
    data = encode(Picture(scene(30, 30)), pack=tmp_path / "zipped.zip").data
    assert np.array_equal(decode(data, pack=tmp_path).picture.pixels, decode(data, pack=pack).picture.pixels)


def test_packs_are_found_by_environment_path_and_name(
    copy: Path, monkeypatch: pytest.MonkeyPatch, scene: Callable[..., np.ndarray]
) -> None:
    save_tables(copy, lambda tables: tables.update(extra=np.zeros(1, np.uint8)))
    other = Pack(sealed(copy))
    assert other.key != library.load().key
    data = encode(Picture(scene(30, 30)), pack=copy).data
    monkeypatch.delenv(library.VARIABLE, raising=False)
    with pytest.raises(PackError, match=other.key.hex()):
        decode(data)
    with pytest.raises(PackError, match="no pack copy"):
        library.load("copy")
    monkeypatch.setenv(library.VARIABLE, str(copy.parent))
    assert decode(data).picture.width == 30
    assert library.load("copy").key == other.key
    monkeypatch.setenv(library.VARIABLE, str(copy))
    assert library.find(other.key).key == other.key


def test_a_missing_pack_is_named(pack: Pack) -> None:
    file = write(Header(16, 16, 0, b"\xde\xad\xbe\xef"), [b"12345678"])
    with pytest.raises(PackError, match=r"deadbeef.*CALOTYPE_PACKS"):
        decode(file)
    with pytest.raises(PackError, match="deadbeef"):
        decode(file, pack=pack)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 3) + b"{x}",
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}      ',
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}      ' + bytes(8),
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[8,0]}}     ' + bytes(8),
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}      ' + bytes(8),
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}        ' + bytes(8),
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,8]}}  ' + bytes(8),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_malformed_arrays(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        tensors.load(data)
