"""The C interface by ctypes, for tests. Failures are ValueErrors: "STATUS: text"."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

DAMAGED = 6


class Limits(ctypes.Structure):
    _fields_ = [(name, c_uint64) for name in ("max_pixels", "max_tile_pixels", "max_tiles", "max_metadata")]


class Info(ctypes.Structure):
    _fields_ = [
        *((name, c_uint32) for name in ("width", "height", "tile", "level")),
        ("pack_id", c_uint8 * 4),
        *((name, c_uint8) for name in ("needs_pack", "grey", "alpha", "damaged")),
        ("reserved", c_uint32 * 4),
    ]


class Request(ctypes.Structure):
    _fields_ = [
        *((name, c_uint32) for name in ("left", "top", "width", "height")),
        *((name, c_int) for name in ("preview", "channels", "threads")),
        ("stride", c_size_t),
        ("damaged", POINTER(c_uint8)),
        ("reserved", c_size_t * 4),
    ]


class Library:
    """A shared library and one pack. ``status`` and ``damaged`` are those of the last `decode`."""

    def __init__(self, path: Path, pack: Path) -> None:
        self.native = ctypes.CDLL(str(path))
        self.native.calotype_error.restype = c_char_p
        self.native.calotype_metadata.restype = c_void_p
        self.status = 0
        self.damaged = np.zeros(0, np.uint8)
        self.pack = self._open_pack(pack)

    def _check(self, status: int) -> int:
        if status not in (0, DAMAGED):
            raise ValueError(f"{status}: {self.native.calotype_error().decode()}")
        return status

    def _open_pack(self, folder: Path, key: bytes | None = None) -> c_void_p:
        pack = c_void_p()
        self._check(self.native.calotype_open_pack(str(folder).encode(), key, byref(pack)))
        return pack

    def open_pack(self, folder: Path, key: bytes | None = None) -> None:
        """Open a pack and close it again."""
        self.native.calotype_close_pack(self._open_pack(folder, key))

    def _open(self, data: bytes, keep: bool, **limits: int) -> c_void_p:
        file = c_void_p()
        self._check(
            self.native.calotype_open_file(
                data, c_size_t(len(data)), keep, byref(Limits(**limits)), byref(file)
            )
        )
        return file

    def info(self, data: bytes, **limits: int) -> Info:
        file, found = self._open(data, False, **limits), Info()
        self.native.calotype_get_info(file, byref(found))
        self.native.calotype_close_file(file)
        return found

    def metadata(self, data: bytes, name: str) -> bytes | None:
        file, size = self._open(data, False), c_size_t()
        place = self.native.calotype_metadata(file, name.encode(), byref(size))
        found = ctypes.string_at(place, size.value) if place else None
        self.native.calotype_close_file(file)
        return found

    def decode(
        self,
        data: bytes,
        *,
        region: tuple[int, int, int, int] | None = None,
        preview: bool = False,
        channels: int = 3,
        threads: int = 2,
        stride: int = 0,
        keep: bool = False,
        pack: bool = True,
        room: int | None = None,
        reserved: int = 0,
    ) -> np.ndarray:
        """Pixels [h, w, channels]; ``room``: bytes that the library is told of, all by default."""
        file, info = self._open(data, keep), Info()
        self.native.calotype_get_info(file, byref(info))
        left, top, right, bottom = region or (0, 0, info.width, info.height)
        width, height = right - left, bottom - top
        if preview:
            width, height = -(-width // 8), -(-height // 8)
        self.damaged = np.full(-(-info.width // info.tile) * -(-info.height // info.tile), 9, np.uint8)
        request = Request(preview=preview, channels=channels, threads=threads, stride=stride)
        request.reserved[3] = reserved
        if region:
            request.left, request.top, request.width, request.height = left, top, width, height
        request.damaged = self.damaged.ctypes.data_as(POINTER(c_uint8))
        row = stride or width * channels
        out = np.full((height, max(row, width * channels)), 99, np.uint8)
        size = out.size if room is None else room
        place = out.ctypes.data_as(c_void_p)
        status = self.native.calotype_decode(
            file, self.pack if pack else None, byref(request), place, c_size_t(size)
        )
        self.native.calotype_close_file(file)
        self.status = self._check(status)
        return np.ascontiguousarray(out[:, : width * channels]).reshape(height, width, channels)
