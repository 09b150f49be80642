"""How fast the systems of the correlation-loss experiment decode, in CPU seconds of one thread, and why.

Fresh weights: time depends on the widths. Everything is measured in rounds, one decoding of each kind after
the other, and the seconds of every round are kept: a machine that is busy slows neighbours in a round alike,
so ratios are those within a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calotype.lab import registry
from calotype.lab.analysis.complexity import kmacs_per_pixel
from calotype.lab.codec import ModelCodec
from calotype.lab.entropy.coders import FileDecoder
from calotype.lab.entropy.order import one_by_one, wavefronts
from calotype.lab.layers import quick_conv
from calotype.records.markdown import table, wrapped
from studies.correlation.plan import PAPER, WITH, Row

ROUNDS = 5
MINNEN = {
    "minnen-autoregressive": "minnen2018-autoregressive",
    "minnen-checkerboard": "he2021-minnen",
    "minnen-charm": "minnen2020-charm",
}
"""The same on Minnen's transforms, at published widths, with the ten slices of Minnen 2020."""
PLAIN = 1 << 30
"""Positions from which on sums are not plain, when all shall be."""
Kind = Callable[[], dict[str, float]]


def systems(rows: Sequence[Row], *, published: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """(key, name in the registry, options) of what is timed: the rows without the loss, which changes nothing
    there; ``published``: and Minnen's systems.
    """
    found = [
        (r.key, r.model, r.options) for r in rows if r.group in ("main", "context") and not r.correlation
    ]
    return found + ([(key, name, {}) for key, name in MINNEN.items()] if published else [])


class Timed:
    """A system with fresh weights and the kinds of decoding that it has."""

    def __init__(self, key: str, name: str, options: dict[str, Any], pixels: np.ndarray) -> None:
        torch.manual_seed(0)
        model: Any = registry.build(name, **options).eval()
        self.key, self.name = key, name
        self.codec = ModelCodec(model)
        self.record: dict[str, Any] = {"system": key, "model": name, "options": model.config}
        costs = kmacs_per_pixel(model)
        parts = {k: v for k, v in costs.items() if k not in ("g_a", "g_s", "h_a", "total")}
        self.record["kmacs"] = sum(parts.values())
        self.data = self.codec.encode(pixels)
        self.kinds: dict[str, Kind] = {"latents": self._latents, "synthesis": self._synthesis}
        self.single = ModelCodec(model)
        self.single.model.float()
        if self.codec.model.order is not None:
            self.single.model.order = one_by_one
            self.kinds["one by one"] = self._one_by_one
        if any(isinstance(m, quick_conv.QuickConv) for m in self.codec.model.modules()):
            self.kinds["plain sums"] = self._plain
        with _least(PLAIN):
            self.single_data = self.single.encode(pixels)
        self.kinds["float32"] = self._single

    def _latents(self) -> dict[str, float]:
        return _decode(self.codec, self.data)

    def _plain(self) -> dict[str, float]:
        with _least(PLAIN):
            return _decode(self.codec, self.data)

    def _single(self) -> dict[str, float]:
        with _least(PLAIN):
            return _decode(self.single, self.single_data)

    def _one_by_one(self) -> dict[str, float]:
        self.codec.model.order = one_by_one  # the codec's own copy of the model
        try:
            return _decode(self.codec, self.data)
        finally:
            self.codec.model.order = wavefronts

    def _synthesis(self) -> dict[str, float]:
        return _decode(self.codec, self.data, synthesis=True)


def speeds(
    chosen: Sequence[tuple[str, str, dict[str, Any]]],
    picture: Path,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Time everything; a record of each system."""
    from PIL import Image

    torch.set_num_threads(1)  # else the seconds of all threads are counted, also of those that only wait
    with Image.open(picture) as opened:
        pixels = np.array(opened.convert("RGB"))
    timed = [Timed(*one, pixels) for one in chosen]
    spent: dict[tuple[str, str, str], list[float]] = {}
    for turn in range(rounds):
        for one in timed:
            for kind, decode in one.kinds.items():
                for what, seconds in decode().items():
                    spent.setdefault((one.key, kind, what), []).append(seconds)
        say(f"round {turn + 1} of {rounds}")
    for one in timed:
        one.record["steps"] = steps(one.codec, one.data)
        for (key, kind, what), seconds in spent.items():
            if key == one.key:
                one.record.setdefault(kind, {})[what] = seconds
    return [one.record for one in timed]


@contextmanager
def _least(positions: int) -> Iterator[None]:
    before = quick_conv.LEAST
    quick_conv.LEAST = positions
    try:
        yield
    finally:
        quick_conv.LEAST = before


def _decode(codec: ModelCodec, data: bytes, *, synthesis: bool = False) -> dict[str, float]:
    """Seconds of ``all`` up to the synthesis, and of ``reading`` within it: everything in `FileDecoder.code`,
    that is tables, indices and rANS; with ``synthesis`` of that instead.
    """
    clock = time.process_time
    synthesise, code = codec.model.synthesise, FileDecoder.code
    reading, end = [0.0], [0.0]

    def read(self: FileDecoder, *given: Any, **more: Any) -> Any:
        begin = clock()
        found = code(self, *given, **more)
        reading[0] += clock() - begin
        return found

    def last(y_hat: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        end[0] = clock()
        if synthesis:
            return synthesise(y_hat, *more)
        return y_hat.new_zeros(1, 3, 16 * y_hat.shape[2], 16 * y_hat.shape[3])

    codec.model.synthesise = last  # type: ignore[method-assign]
    FileDecoder.code = read  # type: ignore[method-assign]
    try:
        begin = clock()
        codec.decode(data)
        done = clock()
    finally:
        codec.model.synthesise = synthesise  # type: ignore[method-assign]
        FileDecoder.code = code  # type: ignore[method-assign]
    return {"all": done - end[0]} if synthesis else {"all": end[0] - begin, "reading": reading[0]}


def steps(codec: ModelCodec, data: bytes) -> int:
    """How many groups of latents are read one after the other, by a coder that takes positions one by one."""
    count, code, order = [0], FileDecoder.code, codec.model.order

    def counted(self: FileDecoder, *given: Any, **more: Any) -> Any:
        count[0] += 1
        return code(self, *given, **more)

    FileDecoder.code = counted  # type: ignore[method-assign]
    codec.model.order = one_by_one if order else None
    try:
        codec.decode(data)
    finally:
        FileDecoder.code = code  # type: ignore[method-assign]
        codec.model.order = order
    return count[0]


def page(record: dict[str, Any]) -> str:
    """The page for people, from speed.json."""
    found = {s["system"]: s for s in record["systems"]}
    heads = [
        "system", "in sequence", "kMAC/px", "float64, plain", "float32, plain", "now", "reading",
        "wavefronts", "synthesis",
    ]  # fmt: skip
    rows = []
    for s in found.values():
        serial = "one by one" in s
        before = s.get("plain sums", s["latents"])["all"]
        now = s["one by one" if serial else "latents"]
        wave = s["latents"]["all"] if serial else None
        cells = [now["all"] if serial else before, s["float32"]["all"], now["all"], now["reading"], wave]
        cells += [s["synthesis"]["all"]]
        rows.append([s["system"], str(s["steps"]), f"{s['kmacs']:.1f}", *map(_cell, cells)])
    machine = record["hardware"]
    several = any(isinstance(s["latents"]["all"], list) for s in found.values())
    told = "medians of {} rounds" + (" (in brackets the least and the most)" if several else "")
    text = (
        f"Decoding {record['picture']} at the widths of the budget `{record['widths']}`, fresh weights, one "
        f"thread, {told.format(record['rounds'])} in which everything was timed once, one after the "
        f"other; {_load(record)}. CPU seconds of the latents: all "
        "that a file's decoding does before the synthesis. *In sequence*: groups that are read one after "
        "the other. *kMAC/px*: products for that, of the whole picture's pixels. *Reading*: tables, indices "
        "and rANS. Autoregression is timed position by position, as published coders work; *wavefronts* is "
        "how ours does."
    )
    lines = ["# What autoregression costs", "", *wrapped(text), "", *table(heads, rows)]
    lines += ["", "## Times faster than autoregression position by position", ""]
    heads = [
        "system", "before", "now", "both in float32", "now, with the synthesis", "published", "fewer "
        "products", "fewer steps",
    ]  # fmt: skip
    rows = []
    for s in found.values():
        family = "minnen-" if s["system"].startswith("minnen-") else "cheng-"
        full = found.get(family + "autoregressive")
        if full is None or s is full or not s["system"].startswith(family[:-1]):
            continue
        base, synthesis = _rounds(full["one by one"]["all"]), _rounds(full["synthesis"]["all"])
        now = _rounds(s["latents"]["all"])
        ratios = [base / _rounds(s.get("plain sums", s["latents"])["all"]), base / now]
        ratios += [_rounds(full["float32"]["all"]) / _rounds(s["float32"]["all"])]
        ratios += [(base + synthesis) / (now + _rounds(s["synthesis"]["all"]))]
        ratios += [PAPER["speed"].get(s["system"] + WITH)]
        ratios += [full["kmacs"] / s["kmacs"], full["steps"] / s["steps"]]
        rows.append([s["system"], *map(_cell, ratios)])
    lines += table(heads, rows)
    made = (
        f"Measured {record['finished'][:10]} on {machine['processor']} at `{record['commit']}`, torch "
        f"{record['libraries']['torch']}. Generated from speed.json."
    )
    return "\n".join([*lines, "", *wrapped(made)]) + "\n"


def _load(record: dict[str, Any]) -> str:
    """How busy the machine was, where the record says it."""
    share = record.get("share")
    if share is None:
        return "the machine was busy, so ratios count and seconds do not"
    return f"the process had {share:.0%} of a core"


def _rounds(seconds: float | list[float]) -> np.ndarray:
    """Of each round; results from before those were kept have the median alone."""
    return np.atleast_1d(np.asarray(seconds, np.float64))


def _cell(value: Any) -> str:
    """A number, or the median of several with the least and the most."""
    if value is None:
        return "-"
    values = _rounds(value)
    told = f"{np.median(values):.3g}"
    return told if len(values) == 1 else f"{told} ({values.min():.3g} .. {values.max():.3g})"
