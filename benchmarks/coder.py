"""Speed and size of the entropy coder, beside a peer in the same run.

    python benchmarks/coder.py [--symbols 2000000] [--repeats 7] [--json]
    python benchmarks/coder.py --tiles 8 [--latents 32] [--repeats 7] [--json]

Symbols are rounded Gaussians over 64 log-spaced scales, drawn so that small ones prevail, as the latents of
a hyperprior codec are. The peer is constriction (Rust): its ANS coder with a quantised Gaussian per symbol,
the usual way to code such latents with it. It is left out if it is not installed. Times are CPU seconds of
one thread, the best of the repeats; the coders take turns, so that a busy machine disturbs both alike.

The second form times the parser (`calotype.coder.latents`) on tiles of 32 x 32 latents, 512 x 512 pixels;
networks are random, of the product's sizes, and classes are those of a low, a middle and a high quality.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

from calotype.coder import LatentCoder, LevelIntegers, decode, encode, gaussian_tables, log_scales
from calotype.coder.latents import kernels
from calotype.records.script import parser_of

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


K, LOW, HIGH = 4, 16, 368
NARROW, WIDE, LOW_HIDDEN, REDUCED, NEAR, MIX = 32, 48, 32, 24, 48, 64


def network_shapes() -> dict[str, tuple[int, int, int]]:
    """Outputs, inputs and kernels of the product's integer networks."""
    side = WIDE + K
    found = {"scales.wide": (WIDE, K, 3), "scales.below": (REDUCED, 4 * LOW, 1)}
    found |= {f"hyper.own.{s}": (K, K, 1) for s in range(7)}
    for s in range(6):
        known = K * (1 + s % 3)
        found |= {f"hyper.hidden.{s}": (NARROW, known, 3), f"hyper.linear.{s}": (K, known, 3)}
        found |= {f"hyper.place.{s}": (K, NARROW, 1), f"hyper.scale.{s}": (K, NARROW, 1)}
    found |= {f"scales.low.{s}": (LOW_HIDDEN, LOW * (1 + s % 3), 3) for s in range(9)}
    found |= {f"scales.low_out.{s}": (LOW, side + LOW_HIDDEN * (s > 0), 1) for s in range(10)}
    found |= {f"scales.reduce.{p}": (REDUCED, HIGH, 1) for p in range(3)}
    for p in range(4):
        found |= {f"scales.near.{p}": (NEAR, REDUCED * (1 + p), 3), f"scales.mix.{p}": (MIX, NEAR + side, 1)}
        found[f"scales.high_out.{p}"] = (HIGH, MIX + K, 1)
    return found


def macs_per_latent() -> float:
    """Multiplications of a decoder for one latent of all channels, those by zeros included."""
    # How many sites a stage of a map has for each of its finest grid: 1/4 per phase and octave.
    total = 0.0
    for name, (out, into, kernel) in network_shapes().items():
        part, number = name.split(".")[1], int(name.split(".")[-1]) if name[-1].isdigit() else 0
        if name.startswith("hyper."):
            octave = 1 if part == "own" and number == 0 else 1 - (number - (part == "own")) // 3
            share = 0.25 ** (2 + octave)
        elif part in ("low", "low_out"):
            octave = 2 if part == "low_out" and number == 0 else 2 - (number - (part == "low_out")) // 3
            share = 0.25 ** (1 + octave)
        else:
            share = 0.25
        total += share * out * into * kernel * kernel
    return total


def run_tiles(tiles: int, side: int, repeats: int) -> list[dict[str, object]]:
    """Times of the parser for each kernel and quality."""
    rng = np.random.default_rng(3)
    arrays: dict[str, np.ndarray] = {}
    for name, (out, into, kernel) in network_shapes().items():
        spread = (20 if "out" in name else 60) / (into * kernel * kernel) ** 0.5
        weight = np.rint(rng.normal(0, spread, (out, into, kernel, kernel))).astype(np.int16)
        if "own" in name:
            weight = np.tril(weight[:, :, 0, 0], -1)[:, :, None, None]
        arrays[f"{name}.weight"] = weight
        if not any(part in name for part in ("own", "linear", "place", "scale.", "_out")):
            arrays[f"{name}.bias"] = np.zeros(out, np.int32)
    z_tables, r_tables = gaussian_tables(log_scales(64, 0.3, 5.0)), gaussian_tables([*SCALES] * 3)
    rows: list[dict[str, object]] = []
    # Classes of the high channels: a few strong ones, a long tail of weak ones.
    for quality, strongest in {"low": 8.0, "middle": 18.0, "high": 30.0}.items():
        fall = strongest - 26.0 * np.linspace(0, 1, HIGH) ** 0.6
        level = LevelIntegers(
            z_mul=np.full(K, 2000),
            z_place=np.zeros((7, K), int),
            z_scale=np.full((7, K), 8 * 256),
            low_bias=np.full((10, LOW), int((strongest + 8) * 256)),
            high_bias=np.tile((fall * 256).astype(int), (4, 1)),
        )
        z = np.rint(rng.normal(0, 2, (K, (side + 1) // 2, (side + 1) // 2))).astype(np.int32)
        r = np.zeros((LOW + HIGH, side, side), np.int32)
        # What the classes are when r follows them: a few turns are near enough.
        coder = LatentCoder(arrays, z_tables, r_tables)
        for _ in range(3):
            index = coder.classes(level, z, r).index
            r = np.rint(rng.standard_normal(r.shape) * SCALES[index] * (index > 0)).astype(np.int32)
        found = coder.classes(level, z, r)
        megapixels = tiles * side * side * 256 / 1e6
        for kernel in kernels():
            coder = LatentCoder(arrays, z_tables, r_tables, kernel=kernel)
            data = coder.write(level, z, found.r)
            ways = {
                "read": lambda c=coder, d=data, v=level: c.read(v, d, side, side),
                "write": lambda c=coder, v=level, z=z, r=found.r: c.write(v, z, r),
            }
            seconds = {
                name: min(timed(lambda w=work: [w() for _ in range(tiles)]) for _ in range(repeats))
                for name, work in ways.items()
            }
            rows.append(
                {
                    "quality": quality,
                    "kernel": kernel,
                    "bpp": len(data) * 8 / (side * side * 256),
                    "coded_percent": float((found.index > 0).mean() * 100),
                    "nonzero_percent": float((found.r != 0).mean() * 100),
                    "read_ms_per_megapixel": seconds["read"] * 1e3 / megapixels,
                    "write_ms_per_megapixel": seconds["write"] * 1e3 / megapixels,
                    "read_gmac_s": macs_per_latent() * tiles * side * side / seconds["read"] / 1e9,
                }
            )
    return rows


def print_tiles(rows: list[dict[str, object]]) -> None:
    """The table of `run_tiles`."""
    print(f"{macs_per_latent():.0f} MAC per latent; CPU time of one thread")
    print("quality kernel    bit/px coded % nonzero %  read ms/Mpx  write ms/Mpx  read GMAC/s")
    for r in rows:
        print(
            f"{r['quality']:8}{r['kernel']:9}{r['bpp']:7.3f}{r['coded_percent']:8.1f}{r['nonzero_percent']:10.1f}"
            f"{r['read_ms_per_megapixel']:13.2f}{r['write_ms_per_megapixel']:14.2f}{r['read_gmac_s']:13.1f}"
        )


def main() -> None:
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--symbols", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--tiles", type=int, help="time the parser on so many tiles instead")
    parser.add_argument("--latents", type=int, default=32, help="rows and columns of a tile's latents")
    args = parser.parse_args()
    if args.tiles is not None:
        tiles = run_tiles(args.tiles, args.latents, args.repeats)
        print(json.dumps(tiles, indent=1)) if args.json else print_tiles(tiles)
        return
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
