"""Packs: the networks and integer tables that turn latents into pixels and back.

A pack is a folder, or one zip file, that holds exactly these files::

    manifest.json            names, sizes, levels, hashes, training record (JSON, UTF-8)
    tables.safetensors       every array below (safetensors layout; read here by hand, no pickle)
    networks.safetensors     the decoder's networks, integers; docs/FORMAT.md has names, sizes and rules
    analysis.onnx  hyper_encoder.onnx            an encoder's networks, and ...
    analysis.int8.onnx       the same network in 8-bit integers; may be missing
    synthesis.onnx           the synthesis in float32, for effort; may be missing

Each but the manifest may be compressed, with ``.gz`` behind its name (gzip; a sixth to a third
less); names and hashes in the manifest are those of what is in it.

A decoder reads the manifest, the tables and its networks. All that it computes is in integers: one file gives
the same pixels everywhere. What an encoder computes is its own affair, and so its networks are ONNX graphs:
opset <= 21, no external data, float32 unless said, N = 1, H W a b h w dynamic, names as here::

    analysis        pixels uint8 [1,H,W,3] (H, W multiples of 16)        -> y [1,M,H/16,W/16]
    hyper_encoder   y [1,M,8a,8b], inside [1,1,8a,8b], level's           -> z [1,Z,4a,4b]
    synthesis       y_hat [1,M,h,w], level [M]                           -> pixels uint8 [1,16h,16w,3]

  * *level's*: any of the level's tables below, interpolated; a graph names those that it wants. A graph may
    leave out any input listed for it; others are refused.
  * inside is 1 in the tile and 0 in the padding that makes it a multiple of 8 latents (where y repeats its
    edge). z holds integers, 0 in the padding, clipped to -z_limit .. z_limit.
  * r is (y - mean) * gain, rounded, with the mean that the decoder will have (in native code); before that
    its magnitude is multiplied by table `keep` at its class, and so it is 0 where nothing is coded, in class
    0. Below 1 `keep` favours smaller r, which cost less; decoders know nothing of it.
  * synthesis rounds and clips to 0..255 itself; its pixels are about those that a decoder gives.
  * Which of a float and an int8 graph runs is the choice of each encoder (``precision``). int8 graphs are in
    QDQ form with 7-bit weights, which no CPU's 16-bit sums overflow on.
  * Both transforms are local and do not know where in the picture a window is. Where a window ends they
    see zeros; inside its margin it gives what the whole picture gives.

manifest.json::

    "format"           1; refused if another
    "name"             for people, "photo-eyes"
    "id"               64 hexadecimal digits: SHA-256 of a text with one line "<file name> <hash>\n" per
                       entry of "files", sorted by file name. A .calo file's header has its first 4 bytes.
    "files"            {"tables.safetensors": "<SHA-256, 64 hexadecimal digits>", "analysis.onnx": ...}:
                       all files that there are, but manifest.json
    "coder"            1, the version of the entropy coder's stream; refused if newer than ours
    "latents"          M > 16
    "hyper_latents"    Z
    "stride"           16; refused if another
    "hyper_stride"     32; refused if another
    "levels"           L >= 2 trained levels; a file's level is 0 .. 256 * (L - 1)
    "quality"          [[0, 0], [100, 1792]] and points between: quality to level, piecewise linear, strictly
                       rising in both, from quality 0 to 100
    "visual"           may be missing: how quality follows the look of a picture. {"scores": [20, ..., 80],
                       "weights": [[15 numbers], ...], "bounds": [[low, high], ...]}: for each score of
                       SSIMULACRA2, rising between 0 and 95, weights of 14 features of y and a constant, whose
                       sum is the level that gives it, clipped to bounds (calotype.codec.visual). For
                       encoders
    "z_limit"          |z| <= z_limit; a file with a larger one is damaged
    "analysis_margin"  latents (16 pixels) by which an analysis window overlaps its neighbours
    "synthesis_margin" latents by which a synthesis window does
    "tile"             side of the encoder's tiles in pixels, 1024
    "training"         any JSON: data, steps, seed, commit, hardware, curve

tables.safetensors (dtypes as safetensors spells them); the level's tables first::

    low_log_step  I32 [L,4,16]    exact       log2 of steps of r, in 1/65536 octaves; steps are in 1/4096 of a
                                              latent's unit: base, octaves 2, 1, 0
    high_log_step I32 [L,4,M-16]  exact       the same for the high channels, phase by phase
    level_vector  I32 [L,M]       exact       what the synthesis adds to the latents
    z_mul         I32 [L,Z]       exact       step of z
    z_place       I32 [L,7,Z]     exact       offsets of location and scale of z, by stage
    z_scale       I32 [L,7,Z]     exact
    low_bias      I32 [L,10,16]   exact       offsets of classes, by stage
    high_bias     I32 [L,4,M-16]  exact
    low_gain      F64 [L,4,16]    > 0, log    an encoder's: what y - mean is multiplied by
    high_gain     F64 [L,4,M-16]  > 0, log
    unit          F32 [M]                     what 1 in a latent stands for in y
    hyper.*, scales.*                         integer layers, names and sizes in docs/FORMAT.md: weights I16
                                              [out,in,k,k], biases I32 [out]
    keep          F32 [64]                    see above; 0 for class 0. Without it: 1 for the others
    r_frequencies, r_lengths, r_offsets       TableSet.to_arrays() of 3 x 64 classes
    z_frequencies, z_lengths, z_offsets       the same for z: 16 scales x 4 fractions
    golden_level  I32 [G]                     G >= 1 levels, one of them between two trained ones
    golden_z      I32 [G,Z,a,b]               within -z_limit .. z_limit, some at the limits
    golden_r      I16 [G,M,2a,2b]
    golden_z_table U8, golden_z_shift I32 [G,Z,a,b], golden_index U8 [G,M,2a,2b]   what codes them
    golden_pixels U8 [G,32a,32b,3], golden_preview U8 [G,4a,4b,3]                  what they decode to

Interpolation at level 256 * a + f, 0 <= f < 256, u = t[a], v = t[a+1] (at the last level t[a]): exact
(u * (256 - f) + v * f + 128) >> 8 in int64; log: exp of (log u * (256 - f) + log v * f) / 256 in float64,
then float32. A step is 2 to the power of its log_step, in integers (docs/FORMAT.md).

Who checks what. ``lab export`` computes hashes and id, proves that no sum overflows, and makes the golden
vectors with another program (torch, float64). ``Pack`` checks, before anything is coded: the fields of the
manifest, that the id follows from the hashes, the hash of every file when it reads it (a decoder never opens
analysis.onnx), shapes and types of the arrays, inputs and outputs of each graph, the bounds of all sums once
more, and that the native code gives the golden classes and pixels without one difference. Any failure is a
PackError. A decoder opens a pack of this package, which is trusted as the code is, without its hashes and
with one golden vector: gzip has a checksum of its own.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calotype.codec import cpu, levels, manifest, masking, tables, tensors, visual
from calotype.codec.levels import Level
from calotype.codec.runtime import OPTIMISATION, Graph
from calotype.coder import DecoderNetworks, LatentCoder, TableSet
from calotype.coder.files import open_pack
from calotype.errors import PackError

if TYPE_CHECKING:
    import calotype._rans as _rans

CODER_VERSION = 1
"""The version of the entropy coder's stream that this release reads and writes."""

Precision = Literal["auto", "fp32", "int8"]
VARIABLE = "CALOTYPE_PRECISION"


class Pack:
    """One pack, opened; networks are read when first asked for. Safe to use from several threads.

    precision: the "int8" or "fp32" graph of the analysis, where a pack has both; "auto" is what this CPU is
               faster with. By default what the environment variable CALOTYPE_PRECISION says, or "auto".

    ``manifest``  its fields (calotype.codec.manifest)
    ``r_tables``  TableSet of the classes of r
    ``z_tables``  TableSet of the hyper-latents
    ``keeps``     float32 [zones, classes], `keep` for each zone of calotype.codec.masking
    ``unit``      float32 [M]

    Raises PackError (see *Who checks what* above).
    """

    def __init__(
        self, path: str | Path, *, optimisation: int = OPTIMISATION, precision: Precision | None = None
    ) -> None:
        self.path = Path(path)
        self._integers = _wants_integers(precision)
        self.manifest = manifest.parse(self._read(manifest.NAME), str(self.path))
        if self.manifest.coder > CODER_VERSION:
            raise self._error(f"needs entropy coder {self.manifest.coder}, this is {CODER_VERSION}: update")
        self._optimisation = optimisation
        self._graphs: dict[tuple[str, int], Graph] = {}
        self._levels: dict[int, Level] = {}
        self._lock = threading.RLock()
        try:
            self._tables = tensors.load(self._verified(manifest.TABLES))
            tables.check(self.manifest, self._tables)
            self.r_tables = TableSet.from_arrays(_with_prefix(self._tables, "r_"))
            self.z_tables = TableSet.from_arrays(_with_prefix(self._tables, "z_"))
            keep = tables.keep(self._tables, len(self.r_tables), len(self.z_tables))
            self.keeps = masking.keeps(keep)
        except (KeyError, ValueError) as error:
            raise self._error(f"{manifest.TABLES}: {error}") from error
        self._coder: LatentCoder | None = None
        self._decoder: DecoderNetworks | None = None
        self._native: _rans.Pack | None = None

    @property
    def key(self) -> bytes:
        """The first 4 bytes of the id, as in the header of a .calo file."""
        return bytes.fromhex(self.manifest.id[:8])

    def level(self, number: int) -> Level:
        """The tables at a level, 0 to ``manifest.max_level``. Raises ValueError outside."""
        with self._lock:
            if number not in self._levels:
                self._levels[number] = levels.at(self._tables, number)
            return self._levels[number]

    def level_of(self, quality: float) -> int:
        """The level for a quality of 0 to 100, by the plain map. Raises ValueError outside."""
        return self.manifest.ladder.level_of(quality)

    def quality_of(self, level: int) -> float:
        """The quality that leads to a level (that of the nearest level which has one), by the plain map."""
        return self.manifest.ladder.quality_of(level)

    @functools.cached_property
    def visual_steps(self) -> NDArray[np.float32]:
        """What calotype.codec.visual measures latents by, [M - 16, 1], for packs with ``visual``."""
        return visual.steps(self._tables)

    def has(self, name: str) -> bool:
        """Whether there is a network `name`."""
        return f"{name}.onnx" in self.manifest.files

    def file(self, name: str) -> bytes:
        """One of its files, checked against its hash. Raises PackError."""
        return self._verified(name)

    def graph(self, name: str, threads: int = 1) -> Graph:
        """The network `name`, for calls that use `threads` threads each. Raises PackError."""
        if self._integers and self.has(f"{name}.int8"):
            name = f"{name}.int8"
        with self._lock:
            if (name, threads) not in self._graphs:
                data = self._verified(f"{name}.onnx")
                self._graphs[name, threads] = Graph(name, data, threads, self._optimisation)
            return self._graphs[name, threads]

    def _read(self, name: str) -> bytes:
        try:
            return manifest.read(self.path, name)
        except (OSError, KeyError) as error:
            raise self._error(f"{name} cannot be read: {error}") from error

    def _verified(self, name: str) -> bytes:
        data = self._read(name)
        if hashlib.sha256(data).hexdigest() != self.manifest.files[name]:
            raise self._error(f"{name} does not have the hash in {manifest.NAME}: install the pack again")
        return data

    @property
    def coder(self) -> LatentCoder:
        """From integers to bytes and back. Raises PackError."""
        with self._lock:
            if self._coder is None:
                try:
                    coder = LatentCoder(self._tables, self.z_tables, self.r_tables)
                except (KeyError, ValueError) as error:
                    raise self._error(f"{manifest.TABLES}: {error}") from error
                self._check_coder(coder)
                self._coder = coder
            return self._coder

    @property
    def decoder(self) -> DecoderNetworks:
        """From integers to pixels. Raises PackError."""
        with self._lock:
            if self._decoder is None:
                try:
                    decoder = DecoderNetworks(tensors.load(self._verified(manifest.NETWORKS)))
                except ValueError as error:
                    raise self._error(f"{manifest.NETWORKS}: {error}") from error
                if decoder.channels != self.manifest.latents:
                    raise self._error(f"{manifest.NETWORKS} is for {decoder.channels} latents")
                self._check_decoder(decoder)
                self._decoder = decoder
            return self._decoder

    @property
    def native(self) -> _rans.Pack:
        """The decoder of whole files. Raises PackError."""
        with self._lock:
            if self._native is None:
                self._native = open_native(self.path)
            return self._native

    @property
    def unit(self) -> NDArray[np.float32]:
        """What 1 in a latent stands for in y, [M]."""
        return self._tables["unit"]

    def _golden(self, *names: str) -> Iterator[tuple[Level, tuple[NDArray[Any], ...]]]:
        arrays = [self._tables[f"golden_{name}"] for name in names]
        for number, *values in zip(self._tables["golden_level"], *arrays):
            yield self.level(int(number)), tuple(values)

    def _check_coder(self, coder: LatentCoder) -> None:
        for level, (z, r, z_table, z_shift, index) in self._golden("z", "r", "z_table", "z_shift", "index"):
            found = coder.classes(level.parser, z, r)
            pairs = ((found.z_table, z_table), (found.z_shift, z_shift), (found.index, index))
            if not all(np.array_equal(ours, theirs) for ours, theirs in pairs):
                raise self._error("the coder computes other classes here than where the pack was made")

    def _check_decoder(self, decoder: DecoderNetworks) -> None:
        for level, (z, r, pixels, preview) in self._golden("z", "r", "pixels", "preview"):
            r = r.astype(np.int32)
            ours = decoder.synthesis(level.vector, decoder.restore(level.steps, z, r))
            small = decoder.preview(level.steps, np.ascontiguousarray(r[: tables.LOW]))
            if not (np.array_equal(ours, pixels) and np.array_equal(small, preview)):
                raise self._error("the decoder computes other pixels here than where the pack was made")

    def _error(self, message: str) -> PackError:
        return PackError(f"pack {self.path}: {message}")


def open_native(path: Path, *, installed: bool = False) -> _rans.Pack:
    """The decoder of whole files for the pack at a path; `installed` as in calotype.coder.files.

    Raises PackError.
    """
    parts = []
    for name in (manifest.NAME, manifest.TABLES, manifest.NETWORKS):
        try:
            parts.append(manifest.read(path, name, unpack=False))
        except (OSError, KeyError) as error:
            raise PackError(f"pack {path}: {name} cannot be read: {error}") from error
    try:
        return open_pack(*parts, installed=installed)
    except ValueError as error:
        raise PackError(f"pack {path}: {str(error).removeprefix('pack: ')}") from error


def _wants_integers(precision: str | None) -> bool:
    given = precision
    if given is None:
        given = os.environ.get(VARIABLE) or "auto"
    if given not in get_args(Precision):
        message = f"must be {', '.join(get_args(Precision))}, is {given!r}"
        raise PackError(f"{VARIABLE} {message}") if precision is None else ValueError(f"precision {message}")
    return cpu.has_fast_integers() if given == "auto" else given == "int8"


def _with_prefix(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name: arrays[prefix + name] for name in ("frequencies", "lengths", "offsets")}
