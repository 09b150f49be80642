"""calotype encode and decode: what goes where, and that it is right."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.codec.pack import Pack

Run = Callable[..., Any]
Process = Callable[..., subprocess.CompletedProcess[bytes]]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_default_names(run: Run, photo: Path) -> None:
    done = run("encode", photo)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{photo} -> {photo.with_suffix('.calo')}")
    assert done.out.count("\n") == 1
    photo.unlink()
    assert run("decode", photo.with_suffix(".calo")).status == 0
    assert names(photo.parent) == ["photo.calo", "photo.png"]


def test_the_same_bytes_and_pixels_as_from_python(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("encode", photo, tmp_path / "a.calo", "-q", "42.5").status == 0
    data = (tmp_path / "a.calo").read_bytes()
    assert data == calotype.encode(Image.open(photo), quality=42.5)
    assert run("decode", tmp_path / "a.calo", tmp_path / "b.png").status == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), np.asarray(calotype.decode(data)))


def test_options_may_stand_anywhere(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("encode", "-q", 20, photo, "--json", tmp_path / "a.calo").status == 0
    assert run("encode", photo, "-q", 20, tmp_path / "b.calo").status == 0
    assert (tmp_path / "a.calo").read_bytes() == (tmp_path / "b.calo").read_bytes()


def test_json(run: Run, photo: Path, tmp_path: Path) -> None:
    done = run("encode", photo, "--json")
    (record,) = done.records
    size = photo.with_suffix(".calo").stat().st_size
    assert record["input"] == str(photo)
    assert record["output"] == str(photo.with_suffix(".calo"))
    assert (record["width"], record["height"], record["bytes"]) == (48, 32, size)
    assert record["bpp"] == pytest.approx(8 * size / (48 * 32))
    done = run("decode", photo.with_suffix(".calo"), tmp_path / "b.png", "--json")
    (record,) = done.records
    assert (record["width"], record["height"], record["format"]) == (48, 32, "PNG")


def test_quiet(run: Run, photo: Path) -> None:
    done = run("encode", photo, "--quiet")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_target_size(run: Run, photo: Path) -> None:
    size = len(calotype.encode(Image.open(photo), quality=60))
    (record,) = run("encode", photo, "--target-size", size, "--json").records
    assert 0.99 * size <= record["bytes"] <= size
    assert record["reached"] == record["bytes"]


@pytest.mark.parametrize(
    ("option", "kind"),
    [("--target-psnr", "psnr"), ("--target-ms-ssim", "ms_ssim"), ("--target-ssimulacra2", "ssimulacra2")],
)
def test_target_likeness(run: Run, tmp_path: Path, make_scene: Any, option: str, kind: str) -> None:
    photo = tmp_path / "p.png"
    make_scene(200, 180).save(photo)
    assert run("encode", photo, tmp_path / "a.calo", "-q", 50).status == 0
    (wanted,) = run("compare", photo, tmp_path / "a.calo", "--json").records
    assert run("encode", photo, tmp_path / "b.calo", option, wanted[kind]).status == 0
    (reached,) = run("compare", photo, tmp_path / "b.calo", "--json").records
    scale = "ms_ssim_db" if kind == "ms_ssim" else kind
    tolerance = {"abs": 0.5} if kind == "ssimulacra2" else {"rel": 0.0101}
    assert reached[scale] == pytest.approx(wanted[scale], **tolerance)


def test_a_folder_into_a_folder(run: Run, tmp_path: Path, make_scene: Any) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "deep").mkdir(parents=True)
    for seed, name in enumerate(["a.png", "b.JPG", "deep/c.webp"]):
        make_scene(seed=seed).save(photos / name)
    (photos / "notes.txt").write_text("not a picture")
    done = run("encode", photos, f"{out}/", "--json", "--workers", 2)
    assert done.status == 0
    assert names(out) == ["a.calo", "b.calo"]
    assert sorted(Path(record["output"]).name for record in done.records) == ["a.calo", "b.calo"]
    assert run("encode", photos, out, "-r", "--force").status == 0
    assert names(out) == ["a.calo", "b.calo", "deep/c.calo"]
    assert run("decode", out, tmp_path / "back", "-r").status == 0
    assert names(tmp_path / "back") == ["a.png", "b.png", "deep/c.png"]


def test_globs_that_the_shell_left_alone(run: Run, tmp_path: Path, make_scene: Any) -> None:
    for seed, name in enumerate(["a1.png", "a2.png", "b1.png"]):
        make_scene(seed=seed).save(tmp_path / name)
    assert run("encode", tmp_path / "a*.png").status == 0
    assert [name for name in names(tmp_path) if name.endswith(".calo")] == ["a1.calo", "a2.calo"]


def test_equal_stems_keep_their_suffixes(run: Run, tmp_path: Path, make_scene: Any) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        make_scene().save(tmp_path / name)
    assert run("encode", tmp_path, "-o", tmp_path / "out").status == 0
    assert names(tmp_path / "out") == ["a.jpg.calo", "a.png.calo", "b.calo"]


def test_many_workers_give_the_same_files(run: Run, tmp_path: Path, make_scene: Any) -> None:
    for seed in range(6):
        make_scene(seed=seed).save(tmp_path / f"{seed}.png")
    assert run("encode", tmp_path, tmp_path / "one", "--workers", 1).status == 0
    assert run("encode", tmp_path, tmp_path / "four", "--workers", 4).status == 0
    for seed in range(6):
        one, four = ((tmp_path / folder / f"{seed}.calo").read_bytes() for folder in ("one", "four"))
        assert one == four


def test_one_bad_file_does_not_stop_the_others(run: Run, tmp_path: Path, make_scene: Any) -> None:
    make_scene().save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    done = run("encode", tmp_path, "--json")
    assert done.complaint.startswith(f"{tmp_path / 'bad.png'}: not a picture")
    assert names(tmp_path) == ["bad.png", "good.calo", "good.png"]
    errors = [record for record in done.records if "error" in record]
    assert [record["input"] for record in errors] == [str(tmp_path / "bad.png")]


def test_standard_input_and_output(process: Process, photo: Path) -> None:
    coded = process("encode", "-", "-", "-q", 30, input=photo.read_bytes())
    assert coded.returncode == 0, coded.stderr
    assert coded.stdout == calotype.encode(Image.open(photo), quality=30)
    assert coded.stderr.startswith(b"standard input -> -")
    decoded = process("decode", "-", "-", "--format", "bmp", "--quiet", input=coded.stdout)
    assert (decoded.returncode, decoded.stderr) == (0, b"")
    image = Image.open(io.BytesIO(decoded.stdout))
    assert (image.format, image.size) == ("BMP", (48, 32))


def test_output_to_standard_output_by_default_for_standard_input(process: Process, photo: Path) -> None:
    coded = process("encode", "-", "--quiet", input=photo.read_bytes())
    assert coded.stdout.startswith(b"\xcaLO")


def test_a_calo_file_can_be_encoded_again(run: Run, coded: Path, tmp_path: Path) -> None:
    assert run("encode", coded, tmp_path / "smaller.calo", "-q", 0).status == 0
    assert (tmp_path / "smaller.calo").stat().st_size < coded.stat().st_size


def test_keep_damaged(run: Run, coded: Path, tmp_path: Path, make_scene: Any) -> None:
    from calotype.codec import encoder
    from calotype.codec.image import Picture

    data = bytearray(encoder.encode(Picture.from_pil(make_scene(130, 64)), quality=50, tile=64).data)
    last = calotype.probe(bytes(data))["chunks"][-1]
    data[last["offset"] + 4] ^= 0xFF
    path = tmp_path / "damaged.calo"
    path.write_bytes(data)
    assert "tile" in run("decode", path).complaint
    assert not (tmp_path / "damaged.png").exists()
    done = run("decode", path, "--keep-damaged", "--json")
    assert done.status == 0
    assert done.records[0]["damaged_tiles"] == [2]
    assert "tiles filled in: 1" in done.records[0]["notes"][-1]
    good = np.asarray(Image.open(tmp_path / "damaged.png"))[:, :32]
    original = np.asarray(make_scene(130, 64))[:, :32]
    assert np.abs(good.astype(int) - original).mean() < 40


def test_packs_by_path(run: Run, photo: Path, tmp_path: Path) -> None:
    from calotype.codec import library

    path = library.load().path
    assert run("encode", photo, tmp_path / "a.calo", "--pack", path, "-q", 50).status == 0
    assert (tmp_path / "a.calo").read_bytes() == calotype.encode(Image.open(photo), quality=50)
    assert "no pack nonsense" in run("encode", photo, tmp_path / "b.calo", "--pack", "nonsense").complaint


def test_a_pack_that_is_none_is_one_line(run: Run, photo: Path, tiny: Pack, tmp_path: Path) -> None:
    assert run("encode", photo, tmp_path / "a.calo", "-q", 20, "--pack", tiny.path).status == 0
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    for command in (("encode", photo, tmp_path / "b.calo"), ("decode", tmp_path / "a.calo")):
        assert "nested too deeply" in run(*command, "--pack", tmp_path).complaint


def test_existing_files_stay(run: Run, photo: Path, coded: Path) -> None:
    before = coded.read_bytes(), photo.read_bytes()
    assert "exists" in run("encode", photo, "-q", 10).complaint
    assert "exists" in run("decode", coded).complaint
    assert (coded.read_bytes(), photo.read_bytes()) == before
    assert run("encode", photo, "-q", 10, "--force").status == 0
    assert coded.read_bytes() != before[0]


def test_without_loss_any_effort_is_the_same(run: Run, photo: Path, tmp_path: Path) -> None:
    files = []
    for more in (("--lossless",), ("--lossless", "--effort", 3), ("-q", 100, "--effort", 3)):
        assert run("encode", photo, tmp_path / "o.calo", "--force", *more).status == 0
        files.append((tmp_path / "o.calo").read_bytes())
    assert files[0] == files[1] == files[2]


def test_effort_makes_another_file_with_either_pack(run: Run, photo: Path, tmp_path: Path) -> None:
    for tune in ((), ("--tune", "psnr")):
        files = []
        for effort in (0, 1):
            path = tmp_path / f"{effort}{len(tune)}.calo"
            assert run("encode", photo, path, "-q", 50, "--effort", effort, *tune).status == 0
            files.append(path.read_bytes())
            assert run("decode", path, tmp_path / f"{effort}{len(tune)}.png").status == 0
        assert files[0] != files[1]


def test_a_target_beyond_all_is_the_file_without_loss(run: Run, photo: Path, tmp_path: Path) -> None:
    (record,) = run("encode", photo, tmp_path / "o.calo", "--target-size", "10M", "--json").records
    assert (record["quality"], record["reached"]) == (100, record["bytes"])
    assert record["bytes"] == (tmp_path / "o.calo").stat().st_size
    (record,) = run("encode", photo, tmp_path / "p.calo", "--target-ssimulacra2", 99.9, "--json").records
    assert record["reached"] == 100
