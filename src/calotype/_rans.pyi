"""Types of the native module (native/module.cpp). Use calotype.coder instead."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRECISION: int
LANES: int
KERNELS: list[str]
MAX_SIDE: int

class StreamError(ValueError): ...

class Tables:
    def __init__(
        self, freqs: NDArray[np.uint32], lengths: NDArray[np.uint32], offsets: NDArray[np.int32]
    ) -> None: ...
    def __len__(self) -> int: ...

class Encoder:
    def __init__(self) -> None: ...
    def put(
        self, values: NDArray[np.int32], index: NDArray[Any], tables: Tables, skip: int | None
    ) -> None: ...
    def put_ranges(self, starts: NDArray[np.uint32], freqs: NDArray[np.uint32]) -> None: ...
    def finish(self) -> bytes: ...

class Decoder:
    def __init__(self, data: NDArray[np.uint8]) -> None: ...
    def get(self, index: NDArray[Any], tables: Tables, skip: int | None, out: NDArray[np.int32]) -> None: ...
    def search(self, cdfs: NDArray[np.uint32], out: NDArray[np.int32]) -> None: ...
    def finish(self) -> None: ...

def pixels_encode(pixels: NDArray[np.uint8], step: int, like: int) -> bytes: ...
def pixels_decode(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> None: ...

_Level = tuple[NDArray[Any], ...]

class Networks:
    channels: int
    def __init__(self, arrays: dict[str, NDArray[Any]], kernel: str) -> None: ...
    def restore(
        self,
        steps: tuple[NDArray[np.int32], NDArray[np.int32]],
        z_mul: NDArray[np.int32],
        z: NDArray[np.int32],
        r: NDArray[Any],
        y: NDArray[np.int16],
    ) -> None: ...
    def synthesis(
        self,
        vector: NDArray[np.int32],
        restoration: NDArray[np.int16] | None,
        y: NDArray[np.int16],
        pixels: NDArray[np.uint8],
    ) -> None: ...
    def preview(
        self,
        steps: tuple[NDArray[np.int32], NDArray[np.int32]],
        r: NDArray[np.int32],
        pixels: NDArray[np.uint8],
    ) -> None: ...

class EncoderNetworks:
    channels: int
    hyper_channels: int
    def __init__(self, arrays: dict[str, NDArray[Any]], kernel: str) -> None: ...
    def analysis(
        self, pixels: NDArray[np.uint8], unit: NDArray[np.float32], y: NDArray[np.float32], two: bool
    ) -> None: ...
    def hyper(
        self,
        y: NDArray[np.float32],
        unit: NDArray[np.float32],
        gain: NDArray[np.float32],
        z_mul: NDArray[np.int32],
        limit: int,
        z: NDArray[np.int32],
        two: bool,
    ) -> None: ...

class Latents:
    channels: int
    low_channels: int
    hyper_channels: int
    def __init__(
        self,
        weights: dict[str, NDArray[np.int16]],
        biases: dict[str, NDArray[np.int32]],
        z_tables: Tables,
        r_tables: Tables,
        kernel: str,
    ) -> None: ...
    def write(self, level: _Level, z: NDArray[np.int32], r: NDArray[np.int32]) -> bytes: ...
    def read(
        self, level: _Level, data: NDArray[np.uint8], z: NDArray[np.int32], r: NDArray[np.int32]
    ) -> None: ...
    def look(
        self,
        level: _Level,
        z: NDArray[np.int32],
        r: NDArray[np.int32],
        z_table: NDArray[np.uint8],
        z_shift: NDArray[np.int32],
        r_class: NDArray[np.uint8],
        r_second: NDArray[np.uint8],
    ) -> None: ...
    def choose(
        self,
        level: _Level,
        networks: Networks,
        steps: tuple[NDArray[np.int32], NDArray[np.int32]],
        wish: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], float],
        zone: NDArray[np.uint8],
        y: NDArray[np.float32],
        z: NDArray[np.int32],
        r: NDArray[np.int32],
        y_hat: NDArray[np.int16] | None,
        two: bool,
        worth: NDArray[np.float32] | None,
    ) -> bytes: ...

def trellis_plan(
    tables: Tables,
    size: NDArray[np.float32],
    table: NDArray[np.uint8],
    value: NDArray[np.int32],
    second: NDArray[np.uint8],
    worth: float = ...,
) -> None: ...
def trellis_values(number: NDArray[np.int32], value: NDArray[np.int32]) -> None: ...

class FileError(ValueError): ...

class Pack:
    def __init__(
        self, manifest: bytes, tables: bytes, networks: bytes, installed: bool, threads: int
    ) -> None: ...

def decode(
    data: bytes | bytearray | memoryview,
    pack: Pack | None,
    box: tuple[int, int, int, int],
    preview: bool,
    threads: int,
    keep: bool,
    out: memoryview,
) -> tuple[list[int], str]: ...
def moments(
    data: bytes | memoryview, pack: Pack, threads: int, every: int, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]: ...
def shown(
    restoration: NDArray[np.int16],
    pixels: NDArray[np.float32],
    kinds: NDArray[np.uint8],
    found: NDArray[np.float32],
) -> None: ...
def shown_back(
    restoration: NDArray[np.int16],
    slopes: NDArray[np.float32],
    kinds: NDArray[np.uint8],
    found: NDArray[np.float32],
) -> None: ...
def png(pixels: memoryview, threads: int) -> bytes: ...
def photograph(data: bytes, packs: bytes, most: int, threads: int) -> tuple[bytes, int, int] | None: ...
def visual_measures(
    steps: NDArray[np.int32],
    unit: NDArray[np.float32],
    step: NDArray[np.float32],
    within: NDArray[np.float32],
) -> None: ...
def visual_sums(
    y: NDArray[np.float32],
    box: tuple[int, int, int, int],
    side: int,
    step: NDArray[np.float32],
    within: NDArray[np.float32],
    apart: int,
    out: NDArray[np.float64],
) -> None: ...
def visual_features(sums: NDArray[np.float64], trained: int, out: NDArray[np.float64]) -> None: ...
def visual_levels(
    features: NDArray[np.float64],
    weights: NDArray[np.float64],
    bounds: NDArray[np.float64],
    max_level: float,
    out: NDArray[np.float64],
) -> None: ...

GLANCE_LATENTS: int
GLANCE_TERMS: int

def glance_choose(sums: NDArray[np.float64], whole: NDArray[np.float64], trained: int) -> list[int]: ...
def glance_measure(
    original: NDArray[np.uint8], shown: NDArray[np.uint8], grey: bool, out: NDArray[np.float64]
) -> None: ...
def glance_score(windows: NDArray[np.float64]) -> float: ...
def glance_gain(
    score: int,
    windows: int,
    found: float,
    foretold: float,
    scores: Sequence[float],
    bias: Sequence[float],
    share: Sequence[float],
) -> float: ...

MASKING_PLAIN: int

def masking_zones(y: NDArray[np.float32], step: NDArray[np.float32], out: NDArray[np.uint8]) -> None: ...
def layer_find(pixels: NDArray[np.uint8], grey: bool, worth: float, below: NDArray[np.uint8]) -> bytes: ...
def layer_over(part: NDArray[np.uint8], below: NDArray[np.uint8], out: NDArray[np.uint8]) -> None: ...
def strokes_find(pixels: NDArray[np.uint8], out: NDArray[np.bool_]) -> int: ...
def traits_counts(pixels: NDArray[np.uint8], side: int, out: NDArray[np.int64]) -> None: ...
def traits_suspicious(counts: NDArray[np.int64], out: NDArray[np.bool_]) -> None: ...
def traits_is_page(counts: NDArray[np.int64]) -> bool: ...
