"""Codecs: every one that can run here gives back the picture, whatever its size; the others say what they
lack.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.bench.conftest import round_trips, scene

import calotype
from calotype.bench import codecs, measure
from calotype.bench.codecs import _pillow, _process, _yuv
from calotype.bench.codecs.base import Codec
from calotype.bench.errors import BenchError
from calotype.bench.selection import select
from calotype.bench.task import MEASURE, TIMING, Task
from calotype.codec import encoder
from calotype.codec.encoder import encode

ALL = codecs.every()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


@pytest.mark.parametrize("name", sorted(ALL))
def test_round_trip(name: str) -> None:
    codec = ALL[name]
    if (reason := codec.missing()) is not None:
        assert codec.install, "a codec that is missing says how to get it"
        pytest.skip(reason)
    assert codec.version()
    assert len(codec.qualities) >= 4
    assert len(codec.settings) > 10
    image = scene(128, 160)
    sizes, errors = round_trips(codec, image, (codec.qualities[1], codec.qualities[-2]))
    assert sizes[0] < sizes[1] < image.size / 2
    assert errors[0] > errors[1]
    assert errors[1] < 255**2 / 10**3, "more than 30 dB"


@pytest.mark.parametrize("name", sorted(name for name in ALL if not ALL[name].slow))
def test_odd_sizes(name: str) -> None:
    codec = ALL[name]
    if not codec.available():
        pytest.skip(str(codec.missing()))
    image = scene(67, 93)
    decoded = codec.decode(codec.encode(image, codec.qualities[-2]))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 25


def test_threads_are_a_copy() -> None:
    codec = ALL["avif-444"]
    assert codec.with_threads(0).threads == 0
    assert codec.threads == 1


@pytest.mark.parametrize("system", ["linux", "others"])
def test_avif_takes_the_threads_it_is_given(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not say which cores a process may use, too."""
    if system == "others":
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    taken = []
    monkeypatch.setattr(_pillow, "encode", lambda *args, max_threads, **rest: taken.append(max_threads))
    for threads in (1, 3, 0):
        ALL["avif-444"].with_threads(threads).encode(scene(8, 8), 50)
    assert taken[:2] == [1, 3]
    assert taken[2] >= 1


def test_each_codec_is_one_short_file() -> None:
    for path in Path(codecs.__file__).parent.glob("[a-z]*.py"):
        if path.name != "base.py":
            assert len(path.read_text().splitlines()) < 70, path.name


def test_expand_families_and_files(bad_codecs: Path) -> None:
    assert codecs.expand(["jpeg"]) == ["jpeg-420", "jpeg-420-prog", "jpeg-444"]
    assert codecs.expand(["webp", "jpeg-444", "webp"]) == ["webp", "jpeg-444"]
    assert "vvc" not in codecs.expand(["default"])
    assert set(codecs.expand(["default"])) <= set(codecs.expand(["all"]))
    specs = codecs.expand([str(bad_codecs)])
    assert [codecs.get(s).name for s in specs][:2] == ["raises", "crashes"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jpg", "unknown codec 'jpg'; did you mean jpeg"),
        ("webp:3", "webp takes no argument"),
        ("/no/such/file.py", "no such codec file"),
        ("lab:/no/such/checkpoint", "lab:/no/such/checkpoint"),
    ],
)
def test_wrong_names(spec: str, message: str) -> None:
    with pytest.raises(BenchError, match=message) as caught:
        codecs.get(spec)
    assert "\n" not in str(caught.value)


def test_file_that_is_no_codec_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("CODECS = [undefined]")
    codec = codecs.get(codecs.expand([str(path)])[0])
    assert codec.name == "broken"
    told, version = codecs.state(codec)
    assert told is not None
    assert f"{path} cannot be imported: NameError: name 'undefined'" in told
    assert version == ""
    with pytest.raises(BenchError, match=r"none of the codecs can run here: broken: .* NameError"):
        select([str(path)], None)


def test_codec_that_cannot_say_what_it_is_is_missing() -> None:
    class Silent(Codec):
        name = "silent"

        def version(self) -> str:
            raise OSError("libsilent.so: cannot open\nsecond line")

    assert codecs.state(Silent()) == ("asking its version failed: OSError: libsilent.so: cannot open", "")

    class Worse(Silent):
        def missing(self) -> str | None:
            raise ValueError("no idea")

    assert codecs.state(Worse()) == ("asking what it lacks failed: ValueError: no idea", "")


@pytest.mark.parametrize(
    ("qualities", "message"),
    [
        ({"jepg-420": (1.0,)}, "jepg-420=...: no codec of this run has that name; did you mean jpeg-420"),
        ({"webp": (1.0,)}, "webp=...: webp is not run; add it to --codecs"),
        ({"zzz": (1.0,)}, "this run has jpeg-420"),
    ],
)
def test_qualities_of_no_codec_of_the_run(qualities: dict, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        select(["jpeg-420"], qualities)
    assert message in str(caught.value)
    chosen = select(["jpeg-420", "webp"], {"jpeg": (3.0,), "*": (7.0,)})
    assert (chosen.qualities("jpeg-420"), chosen.qualities("webp")) == ((3.0,), (7.0,))


def test_two_codecs_of_one_name_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from calotype.bench.codecs.webp import Webp\nCODECS = [Webp()]\n")
    chosen = select(["webp", str(path)], None)
    assert sorted(chosen.names.values()) == sorted(["webp", f"{path}:webp"])


def test_missing_names_module_and_program() -> None:
    class Absent(Codec):
        requires, programs = ("no_such_module_x", "calotype.no_such_part.x"), ("no-such-program-x",)

    told = Absent().missing()
    assert told is not None
    for word in ("no_such_module_x", "calotype.no_such_part.x", "no-such-program-x"):
        assert word in told


def test_colour_conversion_known_values() -> None:
    # BT.709 full range, 10 bit: white, black, and the corners that reach the ends of Cb and Cr.
    colours = np.array([[[255, 255, 255], [0, 0, 0], [0, 0, 255], [255, 0, 0]]], np.uint8)
    y, cb, cr = _yuv.from_rgb(colours, "444")
    assert y.tolist() == [[1023, 0, round(1023 * 0.0722), round(1023 * 0.2126)]]
    assert cb.tolist()[0][:3] == [512, 512, 1023]
    assert cr.tolist()[0][3] == 1023


@pytest.mark.parametrize(("chroma", "least"), [("444", 58.0), ("420", 36.0)])
def test_colour_conversion_round_trip(chroma: str, least: float) -> None:
    image = scene(66, 94)
    planes = _yuv.from_rgb(image, chroma)
    height, width = planes[0].shape
    again = _yuv.from_bytes(_yuv.to_bytes(planes), width, height, chroma)
    assert all((a == b).all() for a, b in zip(planes, again))
    assert psnr(image, _yuv.to_rgb(again)) > least


def test_y4m_round_trip_and_refusal() -> None:
    planes = _yuv.from_rgb(scene(34, 50))
    assert all((a == b).all() for a, b in zip(planes, _yuv.from_y4m(_yuv.to_y4m(planes))))
    with pytest.raises(ValueError, match="10-bit"):
        _yuv.from_y4m(b"YUV4MPEG2 W50 H34 C420jpeg\nFRAME\n" + bytes(50))
    with pytest.raises(ValueError, match="samples"):
        _yuv.from_y4m(_yuv.to_y4m(planes)[:-2])


def test_odd_size_marks() -> None:
    for height, width in ((4, 4), (4, 5), (5, 4), (5, 5)):
        image = scene(height, width)
        marked = _process.mark_odd(image, b"\0\0\1stream")
        assert len(marked) == 9 + bool(height % 2 or width % 2)
        odd, stream = _process.split_odd(marked)
        assert stream == b"\0\0\1stream"
        assert _process.crop_odd(scene(height + height % 2, width + width % 2), odd).shape == image.shape


def test_failed_program_tells_its_last_line() -> None:
    with pytest.raises(_process.ProcessError, match="status 3: bad news"):
        _process.run(["sh", "-c", "echo first; echo bad news >&2; exit 3"])


def test_our_encoder_is_timed_as_people_call_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a quality, with the forecast and the glance that it needs, near the size of what is measured."""
    image = scene(192, 256)
    asked = []

    def listening(picture: Any, **given: Any) -> Any:
        asked.append(given)
        return encode(picture, **given)

    monkeypatch.setattr(encoder, "encode", listening)
    Image.fromarray(image).save(tmp_path / "a.png")
    for kind in (MEASURE, TIMING):
        outcome = measure.perform(Task(kind, str(tmp_path / "a.png"), "calotype", 57, ("psnr_rgb",)))
        assert not outcome.failure, outcome.message
        if kind == MEASURE:
            size = outcome.data["bytes"]
            assert "level" in asked[-1]
            assert "quality" not in asked[-1]
    assert 0 < asked[-1]["quality"] < 95
    assert "level" not in asked[-1]
    assert outcome.data["bytes"] == pytest.approx(size, rel=0.25)
    assert outcome.data["bytes"] == len(calotype.encode(image, asked[-1]["quality"]))
    assert ALL["webp"].as_used(image, 50)() == ALL["webp"].encode(image, 50)
