"""Where inputs may come from and outputs go: pipes, names with dashes, frames, phones, damaged files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

import calotype
from calotype.cli import pictures

Run = Callable[..., Any]
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes with names")


def frames(make_scene: Any, count: int = 3) -> list[Image.Image]:
    return [make_scene(seed=seed) for seed in range(count)]


# Names and pipes.


@pytest.mark.parametrize("options", [(), ("-q", "30"), ("--quiet",)])
def test_after_two_dashes_all_are_files(
    run: Run, tmp_path: Path, make_scene: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_scene().save("-dash.png")
    make_scene().save("plain.png")
    assert run("encode", *options, "--", "-dash.png", "plain.png").status == 0
    assert run("decode", "-f", "--", "-dash.calo").status == 0
    assert run("probe", "--", "-dash.calo", "plain.calo").status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "-dash.calo",
        "-dash.png",
        "plain.calo",
        "plain.png",
    ]


@UNIX
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_fifo_is_an_input(run: Run, tmp_path: Path, photo: Path, coded: Path, command: str) -> None:
    """As <(command) is, which a shell makes of such a pipe."""
    pipe, source = tmp_path / "pipe", photo if command == "encode" else coded
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(source.read_bytes()))
    writer.start()
    out = tmp_path / ("out.calo" if command == "encode" else "out.png")
    done = run(command, pipe, out)
    writer.join()
    assert done.status == 0, done
    assert out.exists()


@UNIX
def test_a_fifo_has_nothing_beside_it(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = run("encode", tmp_path / "pipe")
    assert done.status == 2
    assert "name the output" in done.err


@UNIX
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "-"])
@pytest.mark.parametrize("where", ["pipe", "file"])
def test_standard_output_by_any_name(
    process: Any, coded: Path, tmp_path: Path, name: str, where: str
) -> None:
    """Also where it is redirected to a file, which exists already when the command begins."""
    if where == "pipe":
        done = process("decode", coded, "-o", name)
        data = done.stdout
    else:
        line = [sys.executable, "-m", "calotype", "decode", str(coded), name]
        with (tmp_path / "out").open("wb") as stream:
            done = subprocess.run(line, stdout=stream, stderr=subprocess.PIPE, timeout=120, check=False)
        data = (tmp_path / "out").read_bytes()
    assert done.returncode == 0, done
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(calotype.open(coded)))


@UNIX
def test_standard_input_by_name(process: Any, photo: Path, tmp_path: Path) -> None:
    done = process("encode", "/dev/stdin", "-o", tmp_path / "o.calo", input=photo.read_bytes())
    assert done.returncode == 0, done
    assert calotype.open(tmp_path / "o.calo").size == (48, 32)


# Frames.


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_one_frame_of_several(run: Run, tmp_path: Path, make_scene: Any, suffix: str) -> None:
    path = tmp_path / f"moving.{suffix}"
    first, *others = frames(make_scene)
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    assert "--frame" in run("encode", path).complaint
    for number in range(3):
        assert run("encode", path, "--frame", number, "-f", "-q", 90).status == 0
        with Image.open(path) as image:
            image.seek(number)
            expected = np.asarray(image.convert("RGB")).astype(float)
        found = np.asarray(calotype.open(path.with_suffix(".calo")).convert("RGB"))
        assert np.square(found - expected).mean() < 200
        with Image.open(path) as image:
            assert calotype.decode(calotype.encode(image, frame=number)).size == (48, 32)
    assert "frames are 0 to 2" in run("encode", path, "--frame", 3, "-f").complaint


def test_pillow_saves_the_frame_that_an_image_is_at(tmp_path: Path, make_scene: Any) -> None:
    first, *others = frames(make_scene)
    first.save(tmp_path / "a.gif", save_all=True, append_images=others)
    with Image.open(tmp_path / "a.gif") as image:
        image.seek(2)
        image.save(tmp_path / "a.calo", quality=90)
        expected = calotype.encode(image, quality=90, frame=2)
    assert (tmp_path / "a.calo").read_bytes() == expected


def test_a_picture_has_one_frame(run: Run, photo: Path) -> None:
    assert run("encode", photo, "--frame", 0).status == 0
    assert "only frame is 0" in run("encode", photo, "--frame", 1, "-f").complaint
    assert run("encode", photo, "--frame", "x").status == 2
    assert run("encode", photo, "--frame", "-1").status == 2
    with pytest.raises(calotype.ImageError, match="no frame 1"):
        calotype.encode(np.zeros((4, 4), np.uint8), frame=1)


# Phones and cameras.


def test_heic(run: Run, tmp_path: Path, make_scene: Any) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = make_scene(64, 48)
    fields = Image.Exif()
    fields[0x010F] = "Calotype"
    pillow_heif.from_pillow(image).save(tmp_path / "a.heic", quality=90, exif=fields.tobytes())
    assert run("encode", tmp_path / "a.heic", "-q", 90).status == 0
    back = calotype.open(tmp_path / "a.calo")
    assert np.square(np.asarray(back).astype(float) - np.asarray(image)).mean() < 200
    assert back.getexif()[0x010F] == "Calotype"
    assert run("encode", tmp_path, "-f").status == 0  # found in a folder


def test_heic_without_its_library_names_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "OPEN", {name: value for name, value in Image.OPEN.items() if name != "HEIF"})
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    assert "pillow-heif" in run("encode", tmp_path / "a.heic").complaint


RAW = {
    "a.cr2": b"II*\0\x10\0\0\0CR\2\0",
    "a.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1",
    "a.raf": b"FUJIFILMCCD-RAW 0201",
    "a.orf": b"IIRO\x08\0\0\0",
    "a.rw2": b"IIU\0\x18\0\0\0",
    "a.nef": b"MM\0*\0\0\0\x08",
    "a.ARW": b"II*\0\x08\0\0\0",
}


@pytest.mark.parametrize("name", RAW)
def test_raw_files_are_refused_by_name(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(RAW[name] + bytes(100))
    complaint = run("encode", tmp_path / name).complaint
    assert f"({Path(name).suffix[1:].upper()})" in complaint
    assert "raw" in complaint


@pytest.mark.parametrize("name", ["a.dng", "a.tif"])
def test_dng_is_known_by_its_tag(run: Run, tmp_path: Path, make_scene: Any, name: str) -> None:
    make_scene().save(tmp_path / name, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    assert "(DNG)" in run("encode", tmp_path / name).complaint
    with pytest.raises(calotype.ImageError, match="DNG"):
        calotype.encode(Image.open(tmp_path / name))


# Damage.


@pytest.mark.parametrize(("suffix", "cut"), [("jpg", 2), ("png", 12), ("png", 4), ("png", 1)])
def test_a_file_that_lacks_its_end_only_is_read(
    run: Run, tmp_path: Path, make_scene: Any, suffix: str, cut: int
) -> None:
    path = tmp_path / f"cut.{suffix}"
    make_scene(600, 500).save(path)
    whole = np.asarray(Image.open(path))
    path.write_bytes(path.read_bytes()[:-cut])
    done = run("encode", path)
    assert done.status == 0
    assert done.err.count("\n") == 1
    assert "lacks its end" in done.err
    assert np.array_equal(pictures.read_picture(str(path)).pixels, whole)


def test_junk_between_the_chunks_of_a_png(run: Run, tmp_path: Path, photo: Path) -> None:
    data = photo.read_bytes()
    photo.write_bytes(data[:33] + b"junk that is no chunk" + data[33:])
    done = run("encode", photo)
    assert done.status == 0
    assert "damaged parts" in done.err


def test_half_an_icon_is_called_cut_off(run: Run, tmp_path: Path, make_scene: Any) -> None:
    path = tmp_path / "half.ico"
    make_scene(64, 64).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for options in ((), ("--accept-truncated",)):
        done = run("encode", path, *options)
        assert done.status == 1
        assert "cut off or damaged" in done.err


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp"])
@pytest.mark.parametrize("workers", [1, 2])
def test_truncated_files_are_read_only_when_asked(
    run: Run, tmp_path: Path, make_scene: Any, suffix: str, workers: int
) -> None:
    good, cut = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    make_scene(200, 150).save(good)
    cut.write_bytes(good.read_bytes()[: 2 * good.stat().st_size // 3])
    assert run("encode", cut).status == 1
    done = run("encode", good, cut, "--accept-truncated", "--workers", workers, "-q", 90)
    assert done.status == 0, done
    assert [line for line in done.err.splitlines() if "truncated" in line and "b." in line]
    assert "a." not in done.err.replace("b.", "")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    top = np.asarray(calotype.open(tmp_path / "b.calo").convert("RGB"))
    expected = np.asarray(calotype.open(tmp_path / "a.calo").convert("RGB")).astype(float)
    rows = slice(-30, None) if suffix == "bmp" else slice(0, 30)  # whose rows run upwards
    assert np.square(top[rows] - expected[rows]).mean() < 100


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(60), b"\xff\xd8\xff\xe0" + bytes(60)])
def test_what_is_no_picture_is_not_accepted_either(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert run("encode", tmp_path / "a.png").complaint
    assert run("encode", tmp_path / "a.png", "--accept-truncated").complaint


# Interrupts.


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_highest_effort(tmp_path: Path, make_scene: Any) -> None:
    """The process is gone long before the work could be done, whatever it is deep in."""
    make_scene(1500, 1200).save(tmp_path / "photo.png")
    line = [
        sys.executable,
        "-m",
        "calotype",
        "encode",
        str(tmp_path / "photo.png"),
        "--tune",
        "psnr",
        "--effort",
        "9",
    ]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    threads = Path(f"/proc/{process.pid}/task")
    while process.poll() is None and len(list(threads.iterdir())) < 2:  # until another thread is at work
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == b"calotype: interrupted\n"
    assert not list(tmp_path.glob("*.calo"))
