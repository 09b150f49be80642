"""Autoregressive decoding, ours against CompressAI's, same weights and picture size, on one CPU thread.

    python benchmarks/autoregressive.py [--height 512] [--width 768]

CPU seconds of whole decodes (entropy decoding and synthesis), best of two; of everything but the synthesis,
which both share; and how much faster a decoder could be at most that spent its time on our synthesis alone.
Cheng's synthesis (0.25 MMAC per pixel, nine tenths of its time in oneDNN's convolutions, at the processor's
peak) is most of our decode, so there the whole cannot be five times faster than CompressAI's, however fast
the latents are decoded.  Needs CompressAI (make setup).
"""

from __future__ import annotations

import importlib.util
import sys
import time
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import torch

from calotype.lab import convert_compressai, registry
from calotype.lab.codec import ModelCodec
from calotype.records.script import guarded, parser_of

MODELS = {"mbt2018": {"N": 192, "M": 192}, "cheng2020-anchor": {"N": 128}}
UNUSED = ("torchvision", "torch_geometric", "pandas", "tqdm", "einops", "matplotlib", "pytorch_msssim")


class Stubs:
    """Empty modules in place of those that CompressAI imports but its image models never use."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] in UNUSED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__path__ = []  # type: ignore[attr-defined]
        members = {"__init__": lambda self, *a, **k: None, "__call__": lambda self, f=None, *a, **k: f}
        module.__getattr__ = lambda name: type(name, (), members)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def seconds(run: Callable[[], Any], repeat: int = 2) -> float:
    """CPU seconds of the best of some runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


@guarded
def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=768)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if importlib.util.find_spec("compressai") is None:
        raise ValueError("CompressAI is not installed: make setup")
    sys.meta_path.append(Stubs())  # type: ignore[arg-type]
    importlib.import_module("compressai.models")
    networks = importlib.import_module("compressai.registry").MODELS
    x = torch.rand(1, 3, given.height, given.width)
    size = f"{given.width} x {given.height}"
    print(f"{size}, torch {torch.__version__}, one thread, CPU seconds per decode")
    print(f"{'model':20}{'CompressAI':>12}{'ours':>8}{'faster':>8}{'at most':>9}{'without synthesis':>30}")
    for name, sizes in MODELS.items():
        net = networks[name](**sizes).eval()
        net.update(force=True)
        config, weights = convert_compressai.from_compressai(name, net.state_dict())
        model = registry.build(convert_compressai.our_name(name), **config)
        model.load_state_dict(weights)
        codec = ModelCodec(model.eval())
        data = codec.compress(x)
        with torch.inference_mode():
            coded = net.compress(x)
            y = net.g_a(x)
            shared = seconds(lambda net=net, y=y: net.g_s(y))
            cl = y.contiguous(memory_format=torch.channels_last)
            own = seconds(lambda model=model, cl=cl: model.g_s(cl))
            theirs = seconds(lambda net=net, coded=coded: net.decompress(coded["strings"], coded["shape"]), 1)
        ours = seconds(lambda codec=codec, data=data: codec.decompress(data))
        bare = f"{theirs - shared:.2f} / {ours - own:.2f} = {(theirs - shared) / (ours - own):.1f}"
        print(f"{name:20}{theirs:12.2f}{ours:8.2f}{theirs / ours:8.1f}{theirs / own:9.1f}{bare:>30}")


if __name__ == "__main__":
    sys.exit(main())
