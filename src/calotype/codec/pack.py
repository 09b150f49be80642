"""Packs: the networks and integer tables that turn latents into pixels and back.

A pack is a folder, or one zip file, that holds exactly these files::

    manifest.json            names, sizes, levels, hashes, training record (JSON, UTF-8)
    tables.safetensors       every array below (safetensors layout; read here by hand, no pickle)
    networks.safetensors     the decoder's networks, integers; docs/FORMAT.md has names, sizes and rules
    encoder.safetensors      an encoder's networks, integers as well

Each but the manifest may be compressed, with ``.gz`` behind its name (gzip; a sixth to a third
less); names and hashes in the manifest are those of what is in it. None has more than 2^28 bytes, stored or
unpacked.

A decoder reads the manifest, the tables and its networks, and the latter two make the id: one id gives the
same pixels everywhere, for ever. What an encoder computes is its own affair: another ``encoder.safetensors``
may make better files, which any decoder that has the pack reads. It is in integers, too, so that one picture
gives one y on all machines (native/analysis.hpp). Layers as in docs/FORMAT.md, each with weight, bias and
mul::

    analysis.patch               [C,192,1,1]  words    8x8 pixels (row, column, colour), 0..255, to 1/8
    analysis.blocks8.0, 1, ...                         bottlenecks: reduce, conv, expand
    analysis.merge               [M,4C,1,1]   words    2x2 of that (row, column, channel) to 1/16
    analysis.blocks16.0, 1, ...                        bottlenecks; what comes out, times unit, is y
    unit           F32 [M]       > 0                   what 1 stands for in y
    hyper_analysis.bands         [Z,M,1,1]    words    energies to 1/1024 of a natural-log unit
    hyper_analysis.reduce        [N,2M,1,1]   words    energies and y / unit to bytes
    hyper_analysis.conv          [N,N,3,3]    bytes
    hyper_analysis.out           [Z,4N,1,1]   bytes    2x2 of that to 1/1024 of a unit

  * An energy is log2(abs(y gain) + 0.2) in 1/512, at most 2^14, with the gain of the finest grid. z is the
    mean of `bands` over 2x2 latents, plus `out`, in steps of z, rounded, clipped to -z_limit .. z_limit.
  * r is (y - mean) * gain, rounded, with the mean that the decoder will have; before that its magnitude is
    multiplied by table `keep` at its class, and so it is 0 where nothing is coded, in class 0. Below 1 `keep`
    favours smaller r, which cost less; decoders know nothing of it.
  * Both transforms are local and do not know where in the picture a window is. Where a window ends they
    see zeros; inside its margin it gives what the whole picture gives.

manifest.json::

    "format"           1; refused if another
    "name"             for people, "photo-eyes"
    "id"               64 hexadecimal digits: SHA-256 of a text with one line "<file name> <hash>\n" for
                       networks.safetensors and one for tables.safetensors, in this order. A .calo file's
                       header has its first 4 bytes.
    "files"            {"tables.safetensors": "<SHA-256, 64 hexadecimal digits>", ...}: the three files
    "coder"            1, the version of the entropy coder's stream; refused if newer than ours
    "latents"          M > 16
    "hyper_latents"    Z
    "stride"           16; refused if another
    "hyper_stride"     32; refused if another
    "levels"           L >= 2 trained levels; a file's level is 0 .. 256 * (L - 1)
    "quality"          [[0, 0], [100, 1792]] and points between: quality to level, piecewise linear, strictly
                       rising in both, from quality 0 to 100
    "visual"           may be missing: how quality follows the look of a picture. {"scores": [20, ..., 80],
                       "weights": [[L + 7 numbers], ...], "bounds": [[low, high], ...]}: for each score of
                       SSIMULACRA2, rising between 0 and 95, weights of L + 6 features of y and a constant,
                       whose sum is the level that gives it, clipped to bounds (calotype.codec.visual). For
                       encoders; L >= 3
    "z_limit"          1023; refused if another: the format has |z| <= 1023, and a file with a larger one is
                       damaged
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
encoder.safetensors), shapes and types of the arrays, the bounds of all sums once more, and that the native
code gives the golden classes and pixels without one difference. Any failure is a PackError. A decoder opens a
pack of this package, which is trusted as the code is, without its hashes and with one golden vector: gzip has
a checksum of its own.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec import levels, manifest, masking, tables, tensors, visual
from calotype.codec.levels import Level
from calotype.coder import DecoderNetworks, EncoderNetworks, LatentCoder, TableSet
from calotype.coder.files import open_pack
from calotype.errors import PackError

if TYPE_CHECKING:
    import calotype._rans as _rans

CODER_VERSION = 1
"""The version of the entropy coder's stream that this release reads and writes."""


class Pack:
    """One pack, opened; networks are read when first asked for. Safe to use from several threads.

    ``manifest``  its fields (calotype.codec.manifest)
    ``r_tables``  TableSet of the classes of r
    ``z_tables``  TableSet of the hyper-latents
    ``keeps``     float32 [zones, classes], `keep` for each zone of calotype.codec.masking
    ``unit``      float32 [M]

    Raises PackError (see *Who checks what* above).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = manifest.parse(self._read(manifest.NAME), str(self.path))
        if self.manifest.coder > CODER_VERSION:
            raise self._error(f"needs entropy coder {self.manifest.coder}, this is {CODER_VERSION}: update")
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
        self._encoder: EncoderNetworks | None = None
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
    def visual_measures(self) -> visual.Measures:
        """What calotype.codec.visual measures latents by, for packs with ``visual``."""
        return visual.measures(self._tables)

    def file(self, name: str) -> bytes:
        """One of its files, checked against its hash. Raises PackError."""
        return self._verified(name)

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
    def encoder(self) -> EncoderNetworks:
        """From pixels to latents and hyper-latents. Raises PackError."""
        with self._lock:
            if self._encoder is None:
                try:
                    encoder = EncoderNetworks(tensors.load(self._verified(manifest.ENCODER)))
                except ValueError as error:
                    raise self._error(f"{manifest.ENCODER}: {error}") from error
                made, wanted = (encoder.channels, encoder.hyper_channels), self.manifest
                if made != (wanted.latents, wanted.hyper_latents):
                    raise self._error(
                        f"{manifest.ENCODER} is for {made[0]} latents and {made[1]} hyper-latents"
                    )
                self._encoder = encoder
            return self._encoder

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


def _with_prefix(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name: arrays[prefix + name] for name in ("frequencies", "lengths", "offsets")}
