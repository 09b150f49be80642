"""Where photographs come from: decoded once into one flat file, or decoded each time they are asked for.

A folder of photographs is decoded into a cache on first use.  Sets that are too large for that (WebDataset
shards: tar files of photographs) are indexed instead, and a photograph is decoded whenever a crop of it is
wanted.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm")
Pixels = npt.NDArray[np.uint8]
"""``[H, W, 3]``, RGB."""
Size = tuple[int, int]
"""Height and width."""
VARIANT = "#"
"""After the name of a photograph: what was made of it, not the photograph itself."""
T = TypeVar("T")


class Store(Protocol):
    """Some photographs."""

    names: list[str]
    sizes: list[Size]
    skipped: list[tuple[str, str]]
    """Name and reason of each file that could not be read."""

    def picture(self, i: int) -> Pixels:
        """The pixels of photograph ``i``, read-only."""
        ...


class Source(NamedTuple):
    """One encoded photograph: a file, or ``length`` bytes of one."""

    name: str
    path: Path
    offset: int = 0
    length: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


class DecodedStore:
    """``PACKED.u8`` (pixels, row by row, RGB) beside ``PACKED.json`` (names, offsets, sizes)."""

    def __init__(self, packed: Path) -> None:
        index = json.loads(packed.with_suffix(".json").read_text())
        pictures = index["pictures"] if isinstance(index, dict) else index
        self.names: list[str] = [p[0] for p in pictures]
        self.offsets: list[int] = [p[1] for p in pictures]
        self.sizes: list[Size] = [(p[2], p[3]) for p in pictures]
        self.skipped: list[tuple[str, str]] = (
            [tuple(s) for s in index["skipped"]] if isinstance(index, dict) else []
        )
        if not pictures:
            raise ValueError(f"{packed}: no photographs could be read{_first(self.skipped)}")
        self.pixels: Pixels = np.memmap(packed.with_suffix(".u8"), np.uint8, "r")
        height, width = self.sizes[-1]
        if self.offsets[-1] + height * width * 3 != len(self.pixels):
            raise ValueError(f"{packed}.u8: its size does not match the index; delete both, to decode anew")

    def picture(self, i: int) -> Pixels:
        (height, width), offset = self.sizes[i], self.offsets[i]
        return self.pixels[offset : offset + height * width * 3].reshape(height, width, 3)


class EncodedStore:
    """Photographs that stay as they are; each is decoded when it is asked for."""

    def __init__(self, sources: list[Source]) -> None:
        self.skipped: list[tuple[str, str]] = []
        self.sources: list[Source] = []
        self.sizes: list[Size] = []
        for source, size in zip(sources, _in_order(_size, sources), strict=True):
            if isinstance(size, Exception):
                self.skipped.append((source.name, str(size)))
            else:
                self.sources.append(source)
                self.sizes.append(size)
        self.names = [s.name for s in self.sources]
        if not self.names:
            raise ValueError(f"no photographs could be read{_first(self.skipped)}")

    def picture(self, i: int) -> Pixels:
        """A photograph whose data turn out to be broken is grey: one bad file must not end a long run."""
        try:
            return decode(self.sources[i])
        except Exception as error:  # any decoder may raise anything on a broken file
            warnings.warn(f"{self.names[i]} is broken, its crops are grey: {error}", stacklevel=2)
            return np.full((*self.sizes[i], 3), 128, np.uint8)


Make = Callable[[Source], list[tuple[str, Pixels]]]


def open_store(source: Path, *, stream: bool = False, cache: Path | None = None) -> Store:
    """Photographs of a folder, of WebDataset shards (a tar file or a folder of them), or of a packed file.

    stream: decode photographs of a folder each time, too, instead of once into ``cache``.

    Raises:
        ValueError: when there are none.
    """
    if source.with_suffix(".u8").is_file():
        return DecodedStore(source)
    if source.suffix == ".tar" and source.is_file():
        return EncodedStore(list(_members(source)))
    if not source.is_dir():
        raise ValueError(f"{source}: neither a folder nor a tar file nor a packed file of photographs")
    files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    shards = sorted(source.rglob("*.tar"))
    if not files and not shards:
        raise ValueError(f"{source}: no photographs (looked for {', '.join(SUFFIXES)} and .tar)")
    sources = [Source(p.relative_to(source).as_posix(), p) for p in files]
    if shards or stream:
        return EncodedStore([*sources, *(member for shard in shards for member in _members(shard))])
    stamp = "".join(f"{p}{p.stat().st_size}{p.stat().st_mtime_ns}" for p in files)
    packed = cache_folder(cache) / f"photos-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}"
    if not packed.with_suffix(".json").is_file():
        pack(sources, packed)
    return DecodedStore(packed)


def cache_folder(cache: Path | None = None) -> Path:
    """Where what is computed once is kept: ``cache``, or the user's folder for that."""
    return cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "calotype"


def pack_folder(folder: Path, packed: Path, make: Make | None = None) -> None:
    """Decode the photographs of a folder into ``packed``, unless that is done; see `pack`."""
    if not packed.with_suffix(".json").is_file():
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        pack([Source(p.relative_to(folder).as_posix(), p) for p in files], packed, make)


def pack(sources: list[Source], packed: Path, make: Make | None = None) -> None:
    """Decode into ``packed.u8`` and ``packed.json``.  The index is written last, so there is one only of
    whole files.

    make: pictures with their names that come of a photograph; without it, the photograph itself.
    """
    make = make or (lambda source: [(source.name, decode(source))])
    packed.parent.mkdir(parents=True, exist_ok=True)
    pictures: list[tuple[str, int, int, int]] = []
    skipped: list[tuple[str, str]] = []
    offset = 0
    with tempfile.NamedTemporaryFile(dir=packed.parent, prefix=packed.name, delete=False) as out:
        try:
            for source, made in zip(sources, _in_order(make, sources), strict=True):
                if isinstance(made, Exception):
                    skipped.append((source.name, str(made)))
                    continue
                for name, pixels in made:
                    out.write(np.ascontiguousarray(pixels).data)
                    pictures.append((name, offset, *pixels.shape[:2]))
                    offset += pixels.size
        except BaseException:
            Path(out.name).unlink()
            raise
    Path(out.name).replace(packed.with_suffix(".u8"))
    index = packed.with_suffix(".new")
    index.write_text(json.dumps({"pictures": pictures, "skipped": skipped}))
    index.replace(packed.with_suffix(".json"))


def decode(source: Source) -> Pixels:
    """The pixels of a photograph, 8-bit RGB."""
    with _opened(source) as image:
        return np.asarray(image.convert("RGB"))


def _size(source: Source) -> Size:
    with _opened(source) as image:
        return image.height, image.width


def _opened(source: Source) -> Image.Image:
    try:
        return Image.open(io.BytesIO(source.read()))
    except UnidentifiedImageError:
        raise ValueError("not a picture that can be read") from None


def _members(shard: Path) -> Iterator[Source]:
    """The photographs in a tar file, without unpacking it."""
    with tarfile.open(shard, "r:") as tar:
        for member in tar:
            if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                yield Source(f"{shard.name}/{member.name}", shard, member.offset_data, member.size)


def _in_order(work: Callable[[Source], T], sources: list[Source]) -> Iterator[T | Exception]:
    """Results or errors in the order of ``sources``, a few dozen ahead at most: they may be large."""

    def attempt(source: Source) -> T | Exception:
        try:
            return work(source)
        except Exception as error:  # any decoder may raise anything on a broken file
            return error

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead = deque(pool.submit(attempt, source) for source in sources[: 4 * workers])
        for source in sources[4 * workers :]:
            yield ahead.popleft().result()
            ahead.append(pool.submit(attempt, source))
        for future in ahead:
            yield future.result()


def _first(skipped: Iterable[Any]) -> str:
    name, why = next(iter(skipped), ("", ""))
    return f" ({name}: {why})" if name else ""
