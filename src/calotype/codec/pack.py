"""Packs: the networks and integer tables that turn latents into pixels and back.

What is in a pack, and who checks what of it, is in docs/FORMAT.md, *Packs*. ``Pack`` checks before anything
is coded; any failure is a PackError. It never opens encoder.safetensors to decode.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from calotype.codec import levels, manifest, tensors, visual
from calotype.codec.levels import Level
from calotype.codec.opening import open_native
from calotype.coder import DecoderNetworks, EncoderNetworks, LatentCoder, TableSet
from calotype.errors import PackError
from calotype.pack import CODER, tables

if TYPE_CHECKING:
    import calotype._rans as _rans

N = TypeVar("N")


class Pack:
    """One pack, opened; networks are read when first asked for. Safe to use from several threads.

    ``manifest``  its fields (calotype.codec.manifest)
    ``r_tables``  TableSet of the classes of r
    ``z_tables``  TableSet of the hyper-latents
    ``unit``      float32 [M]
    ``half_step`` what a residual counts, in what a gain brings latents to

    Raises PackError (docs/FORMAT.md: *Who checks what*).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = manifest.parse(self._read(manifest.NAME), str(self.path))
        if self.manifest.coder > CODER:
            raise self._error(f"needs entropy coder {self.manifest.coder}, this is {CODER}: update")
        self._levels: dict[int, Level] = {}
        self._lock = threading.RLock()
        try:
            self._tables = tensors.load(self._verified(manifest.TABLES))
            tables.check(
                self._tables,
                latents=self.manifest.latents,
                hyper_latents=self.manifest.hyper_latents,
                levels=self.manifest.levels,
            )
            self.r_tables = TableSet.from_arrays(_with_prefix(self._tables, "r_"))
            self.z_tables = TableSet.from_arrays(_with_prefix(self._tables, "z_"))
            self.half_step = tables.half_step(self._tables, len(self.r_tables), len(self.z_tables))
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

    def _networks(self, name: str, kind: Callable[[dict[str, NDArray[Any]]], N]) -> N:
        """The networks in one of its files. Raises PackError."""
        try:
            return kind(tensors.load(self._verified(name)))
        except ValueError as error:
            raise self._error(f"{name}: {error}") from error

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
                decoder = self._networks(manifest.NETWORKS, DecoderNetworks)
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
                encoder = self._networks(manifest.ENCODER, EncoderNetworks)
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
            ours = decoder.synthesis(level.pixels, decoder.restore(level.steps, z, r))
            small = decoder.preview(level.steps, np.ascontiguousarray(r[: tables.LOW]))
            if not (np.array_equal(ours, pixels) and np.array_equal(small, preview)):
                raise self._error("the decoder computes other pixels here than where the pack was made")

    def _error(self, message: str) -> PackError:
        return PackError(f"pack {self.path}: {message}")


def _with_prefix(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name: arrays[prefix + name] for name in ("frequencies", "lengths", "offsets")}
