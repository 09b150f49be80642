"""What JPEG AI's decoders cost, beside what was published.

    python -m studies.jpegai.complexity               measures; minutes: the baseline takes 20 s per megapixel
    python -m studies.jpegai.complexity --no-time     counts only
    python -m studies.jpegai.complexity --stored studies/jpegai/complexity.json > studies/jpegai/complexity.md

Rows: the baseline of the VCIP 2023 paper as we reconstruct it, each of its simplifications alone, the
combination, and the three operating points of the final reference software.  Costs are thousands of
multiply-accumulates per pixel of the whole picture, luma and chroma together, of the decoder's transform
alone, in these rules:

    exact       every product, attention's too; a transposed convolution costs one product per input position
                and tap
    + biases    and one operation per output of each layer with a bias
    layers      convolutions only: no attention products
    ptflops     as ptflops 0.6.5 with the hooks of JPEG AI: a transposed convolution is counted per *output*
                position (four times too much at stride 2); biases and attention products count

Times are CPU seconds of one thread per megapixel, float32, on random latents: they do not depend on the
weights.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from calotype.errors import describe
from calotype.lab.analysis.complexity import macs, parameters
from calotype.lab.models import jpegai, jpegai2023
from calotype.lab.models.jpegai2023 import VARIANTS, Design
from calotype.lab.models.jpegai_entropy import TwoBranches
from calotype.records.provenance import provenance
from calotype.records.script import parser_of, run_as
from studies.jpegai.text import PUBLISHED, RULES, render

LUMA, CHROMA, HIDDEN = 160, 96, (128, 64)
"""Widths of the reconstruction of 2023."""
FINAL_CHROMA = 48

WIRINGS = {
    "RNAB, then RNAB": Design(),
    "RNAB, then CS": Design(high="tam-cs"),
    "RNAB, then DS": Design(high="tam-ds"),
    "TAM, then TAM": Design("tam", "tam"),
    "TAM, then CS": Design("tam", "tam-cs"),
    "TAM, then DS": Design("tam", "tam-ds"),
    "CAB, then CS": Design("cab", "tam-cs"),
    "CAB, then DS": Design("cab", "tam-ds"),
}
"""Attention at the lower and the higher of the two resolutions: what the paper may have meant."""


@dataclass
class Row:
    """One decoder."""

    name: str
    parameters: int
    kmacs: dict[str, float]
    """Per pixel, by rule."""
    luma: float
    """Share of the luma branch in the exact count, kMAC per pixel."""
    seconds: float | None
    """CPU seconds per megapixel on one thread, or None."""
    published: str


def synthesis(name: str) -> nn.Module:
    """The decoder's transform of a variant of 2023 (by its name, or a `Design` among `WIRINGS`) or hop, bop,
    sop.
    """
    if name in jpegai.POINTS:
        return jpegai.JpegAISynthesis(name, LUMA, FINAL_CHROMA, True, 1)
    return jpegai2023.JpegAI2023Synthesis(
        LUMA, CHROMA, HIDDEN, WIRINGS[name] if name in WIRINGS else VARIANTS[name]
    )


def _biases(model: nn.Module, run: Callable[[nn.Module], Any]) -> int:
    """Outputs of layers that add a bias."""
    total = 0

    def hook(layer: nn.Module, args: Any, out: Tensor) -> None:
        nonlocal total
        total += out.numel()

    handles = [
        m.register_forward_hook(hook)
        for m in model.modules()
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and m.bias is not None
    ]
    with torch.no_grad():
        run(model)
    for handle in handles:
        handle.remove()
    return total


def kmacs(model: nn.Module, run: Callable[[nn.Module], Any], pixels: int) -> dict[str, float]:
    """Thousands of operations per pixel by rule, of ``run(model)`` on the meta device."""
    exact, layers, counted = (sum(macs(model, run, rule).values()) for rule in ("exact", "layers", "ptflops"))
    counts = (exact, exact + _biases(model.to("meta"), run), layers, counted + exact - layers)
    return {rule: n / (1000 * pixels) for rule, n in zip(RULES, counts)}


def decoder_kmacs(model: nn.Module, latents: int, size: int = 256) -> tuple[dict[str, float], float]:
    """Counts of a decoder's transform by rule, and luma's share of the exact one."""
    y = torch.empty(1, latents, size // 16, size // 16, device="meta")
    whole = kmacs(model, lambda twin: twin.planes(y), size**2)
    luma = sum(macs(model.luma, lambda twin: twin(y[:, : model.latents])).values())
    return whole, luma / (1000 * size**2)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _cpu_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Median CPU time: it does not see what else the machine does."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


@torch.inference_mode()
def decode_seconds(model: nn.Module, latents: int, size: int = 512, repeats: int = 3) -> float:
    """CPU seconds per megapixel of the transform: latents to planes of ``size`` x ``size`` pixels."""
    model = model.eval().to(memory_format=torch.channels_last)
    y = torch.randn(1, latents, size // 16, size // 16).contiguous(memory_format=torch.channels_last)
    with _one_thread():
        model.planes(y[:, :, :4, :4])  # warm up
        return _cpu_seconds(lambda: model.planes(y), repeats) / (size**2 / 1e6)


@torch.inference_mode()
def entropy_seconds(model: TwoBranches, size: int = 512, repeats: int = 3) -> float:
    """CPU seconds per megapixel of the rest of decoding a file, in float64: rANS, sigmas, means (not of
    `synthesis`).
    """
    from calotype.lab.codec import exact
    from calotype.lab.entropy import FileDecoder, FileEncoder

    twin = exact(model.eval())
    with _one_thread():
        encoder = FileEncoder(size, size)
        twin.walk(encoder, 2 * torch.randn(1, sum(model.channels), size // 16, size // 16))
        data = encoder.finish()

        def decode() -> None:
            decoder = FileDecoder(data, size, size)
            twin.walk(decoder)
            decoder.finish()

        return _cpu_seconds(decode, repeats) / (size**2 / 1e6)


def row(name: str, *, timed: bool = True, size: int = 512, repeats: int = 3) -> Row:
    """One row of the table."""
    label = name.upper() if name in jpegai.POINTS else name
    latents = LUMA + (FINAL_CHROMA if name in jpegai.POINTS else CHROMA)
    with torch.device("cpu" if timed else "meta"):
        model = synthesis(name)
    seconds = decode_seconds(model, latents, size, repeats) if timed else None
    counts, luma = decoder_kmacs(model, latents)
    return Row(label, parameters(model), counts, luma, seconds, PUBLISHED.get(label, ""))


def measure(*, timed: bool = True, size: int = 512, repeats: int = 3) -> dict[str, Any]:
    """The whole table as plain values, ready for JSON and, with its `provenance`, for `render`."""
    torch.manual_seed(0)
    options = {"timed": timed, "size": size, "repeats": repeats}
    result: dict[str, Any] = {
        "variants": [asdict(row(name, **options)) for name in VARIANTS],
        "final": [asdict(row(name, **options)) for name in jpegai.POINTS],
        "wirings": [asdict(row(name, timed=False)) for name in WIRINGS],
    }
    if timed:
        entropy = EntropyOnly(LUMA, CHROMA)
        result["entropy_seconds"] = entropy_seconds(entropy, size, repeats)
        result["timing"] = {"size": size, "repeats": repeats}
    return result


class EntropyOnly(TwoBranches):
    """The entropy model without transforms."""

    def __init__(self, luma: int, chroma: int) -> None:
        super().__init__()
        self.config = {"luma": luma, "chroma": chroma}
        self.entropy_parts(luma, chroma)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or its values as JSON."""
    parser = parser_of(__file__, __doc__)
    add = parser.add_argument
    add("--no-time", action="store_true", help="count only; takes seconds instead of minutes")
    add("--size", type=int, default=512, help="side of the picture to time, a multiple of 64 (512)")
    add("--repeats", type=int, default=3, help="runs of each decoder; the median is printed (3)")
    add("--json", action="store_true", help="print one JSON object, which --stored reads")
    add("--stored", type=Path, metavar="FILE", help="make the table of such a file, measure nothing")
    options = parser.parse_args(arguments)
    if options.size < 64 or options.size % 64 or options.repeats < 1:
        parser.error("--size must be a multiple of 64 and --repeats at least 1")
    if options.stored:
        try:
            text = render(json.loads(options.stored.read_text()))
        except OSError as error:
            parser.error(describe(error))
        except (ValueError, LookupError, TypeError):
            parser.error(f"{options.stored}: not a table that --json made")
        print(text)
        return 0
    result = measure(timed=not options.no_time, size=options.size, repeats=options.repeats)
    result = provenance(run_as(__file__, arguments)) | result
    print(json.dumps(result, indent=1) if options.json else render(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
