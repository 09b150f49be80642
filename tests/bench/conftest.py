"""Pictures and codecs made for the tests of the benchmark."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calotype.bench import measure, runner
from calotype.bench.codecs.base import Codec
from calotype.bench.engine import LocalEngine
from calotype.bench.task import Outcome, Task


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth coloured scene with edges and a little texture: what photographs are to codecs. uint8 [h, w,
    3].
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / 32
    waves = [
        np.sin(rows * a + b) + np.cos(columns * c + rows * d) for a, b, c, d in rng.uniform(0.3, 1.5, (3, 4))
    ]
    image = np.stack(waves, axis=-1) * 45 + 128
    image[height // 4 : height // 2, width // 4 : width // 2] += (60, -40, 20)
    image += rng.normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def round_trips(codec: Codec, image: np.ndarray, qualities: Iterable[float]) -> tuple[list[int], list[float]]:
    """Bytes of a picture at each quality, and the mean squared error of what comes back."""
    sizes, errors = [], []
    for quality in qualities:
        data = codec.encode(image, quality)
        decoded = codec.decode(data)
        assert decoded.shape == image.shape
        assert decoded.dtype == np.uint8
        sizes.append(len(data))
        errors.append(float(np.mean((decoded.astype(float) - image) ** 2)))
    return sizes, errors


class Here(LocalEngine):
    """Does the tasks in this process, for tests of what becomes of outcomes: a worker takes a while to start.

    What workers are for, test_runner.py tests with real ones.
    """

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        measure.load.cache_clear()  # a worker is new, and a picture may be
        for task in tasks:
            yield task, measure.perform(task)


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """Runs within it start no workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "LocalEngine", Here)
        yield


@pytest.fixture
def no_workers() -> Iterator[None]:
    """Runs of the test start no workers."""
    with in_this_process():
        yield


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two PNG pictures, 96 x 64 and 80 x 72."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(scene(64, 96, 1)).save(folder / "a.png")
    Image.fromarray(scene(72, 80, 2)).save(folder / "b.png")
    return folder


@pytest.fixture
def bad_codecs(tmp_path: Path) -> Path:
    """A file with codecs that fail, each in its own way, at quality 2; at quality 1 they work."""
    path = tmp_path / "bad.py"
    path.write_text(
        textwrap.dedent('''
        """Codecs that keep pictures as they are, until they are asked for quality 2."""

        import os
        import signal
        import struct
        import time

        import numpy as np

        from calotype.bench.codecs.base import Codec


        class Raw(Codec):
            settings, quality_unit, qualities = "raw bytes", "1 works, 2 fails", (1, 2)

            def __init__(self, name):
                self.name, self.family = name, "bad"

            def version(self):
                return "1"

            def encode(self, image, quality):
                if quality == 2:
                    if self.name == "raises":
                        raise ValueError("no such quality\\nsecond line")
                    if self.name == "crashes":
                        os.kill(os.getpid(), signal.SIGSEGV)
                    if self.name == "hangs":
                        time.sleep(1000)
                    if self.name == "leaves":
                        os._exit(7)
                    if self.name == "none":
                        return None
                return bytes([int(quality)]) + struct.pack("<HH", *image.shape[:2]) + image.tobytes()

            def decode(self, data):
                height, width = struct.unpack("<HH", data[1:5])
                image = np.frombuffer(data[5:], np.uint8).reshape(height, width, 3)
                if data[0] == 2 and self.name == "shrinks":
                    return image[:, 1:]
                if data[0] == 2 and self.name == "floats":
                    return image / 255
                return image


        CODECS = [Raw(n) for n in ("raises", "crashes", "hangs", "leaves", "none", "shrinks", "floats")]
        ''')
    )
    return path
