"""Speed and size of the entropy coder, beside a peer in the same run.

    python benchmarks/coder.py [--symbols 2000000] [--repeats 7] [--json]

Symbols are rounded Gaussians over 64 log-spaced scales, drawn so that small ones prevail, as the latents of
a hyperprior codec are. The peer is constriction (Rust): its ANS coder with a quantised Gaussian per symbol,
the usual way to code such latents with it. It is left out if it is not installed. Times are CPU seconds of
one thread, the best of the repeats; the coders take turns, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from calotype.coder import decode, encode, gaussian_tables, log_scales

SCALES = log_scales(64, 0.11, 64.0)
TABLES = gaussian_tables(SCALES)


def sources(n: int) -> dict[str, tuple[np.ndarray, int | None]]:
    """Indices of each test source, and the index to skip. The first is the one that targets are set for."""
    random = np.random.default_rng(1)
    typical = np.minimum(63, random.exponential(12.0, n)).astype(np.uint8)
    return {
        "typical": (typical, None),
        "typical, classes below 0.25 skipped": (
            np.where(SCALES[typical] < 0.25, 0, typical).astype(np.uint8),
            0,
        ),
        "all scales alike": (random.integers(0, 64, n).astype(np.uint8), None),
        "one scale, 1.0": (np.full(n, int(np.searchsorted(SCALES, 1.0)), np.uint8), None),
    }


def timed(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def ours(
    values: np.ndarray, index: np.ndarray, skip: int | None
) -> tuple[Callable[[], bytes], Callable[[bytes], object]]:
    return (
        lambda: encode(values, index, TABLES, skip=skip),
        lambda data: decode(data, index, TABLES, skip=skip),
    )


def peer(
    values: np.ndarray, index: np.ndarray, skip: int | None
) -> tuple[Callable[[], bytes], Callable[[bytes], object]]:
    import constriction

    kept = index != skip if skip is not None else np.full(index.shape, True)
    symbols, stds = values[kept], SCALES[index[kept]]
    means = np.zeros(stds.size)
    model = constriction.stream.model.QuantizedGaussian(-400, 400)

    def encode_peer() -> bytes:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, model, means, stds)
        return bytes(coder.get_compressed().tobytes())

    def decode_peer(data: bytes) -> object:
        coder = constriction.stream.stack.AnsCoder(np.frombuffer(data, np.uint32))
        return coder.decode(model, means, stds)

    return encode_peer, decode_peer


def run(n: int, repeats: int) -> list[dict[str, object]]:
    coders = {"calotype": ours}
    try:
        import constriction  # noqa: F401

        coders["constriction"] = peer
    except ImportError:
        print("constriction is not installed: no peer in this run")
    rows: list[dict[str, object]] = []
    for source, (index, skip) in sources(n).items():
        values = np.rint(np.random.default_rng(2).standard_normal(n) * SCALES[index]).astype(np.int32)
        values[index == skip] = 0
        ideal = float(TABLES.bits(values, index, skip=skip).sum()) / 8
        pairs = {name: make(values, index, skip) for name, make in coders.items()}
        data = {name: pair[0]() for name, pair in pairs.items()}
        best = {(name, way): np.inf for name in pairs for way in ("encode", "decode")}
        for _ in range(repeats):
            for name, (enc, dec) in pairs.items():
                best[name, "encode"] = min(best[name, "encode"], timed(enc))
                best[name, "decode"] = min(best[name, "decode"], timed(lambda d=dec, b=data[name]: d(b)))
        for name in pairs:
            rows.append(
                {
                    "source": source,
                    "coder": name,
                    "bits_per_symbol": len(data[name]) * 8 / n,
                    "excess_percent": (len(data[name]) / ideal - 1) * 100,
                    "excess_bytes": len(data[name]) - ideal,
                    "encode_msym_s": n / best[name, "encode"] / 1e6,
                    "decode_msym_s": n / best[name, "decode"] / 1e6,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    rows = run(args.symbols, args.repeats)
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{args.symbols} symbols, best of {args.repeats}; CPU time of one thread; excess over the entropy")
    print(f"{'source':38}{'coder':14}{'bit/sym':>8}{'excess %':>10}{'enc M/s':>9}{'dec M/s':>9}")
    for r in rows:
        print(
            f"{r['source']:38}{r['coder']:14}{r['bits_per_symbol']:8.4f}{r['excess_percent']:10.4f}"
            f"{r['encode_msym_s']:9.1f}{r['decode_msym_s']:9.1f}"
        )


if __name__ == "__main__":
    main()
