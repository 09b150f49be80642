"""Lab model -> pack: the product's model as ONNX graphs, integer tables and a manifest (contract: calotype.codec.pack).

Nothing is published unless it holds: every integer layer's bound stays under 2^24, and the exported scales graph gives,
in ONNX Runtime, exactly the indices that torch computes in float64.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..coder import TableSet
from ..coder.gaussian import gaussian_pmf, log_scales
from .layers.integer import EXACT, round_through
from .models.calotype import (
    SCALE_MAX,
    SCALE_MIN,
    SCALES,
    Z_PEAK,
    Z_UNIT,
    Calotype,
    join_phases,
    split_phases,
)

OPSET = 17
MARGIN_SLACK = 1
"""Latents added to each receptive field, for the sub-pixel layers at its edge."""


class ExportError(ValueError):
    """The model must not become a pack; the message says why."""


# -- graphs ----------------------------------------------------------------------------------------------------------


def _column(v: Tensor) -> Tensor:
    return v[None, :, None, None]


class AnalysisGraph(nn.Module):
    """uint8 pixels to latents; the scaling to 0..1 and the offset are folded into the first layer."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = copy.deepcopy(model.analysis)
        patch = self.net.patch
        with torch.no_grad():
            patch.bias -= 0.5 * patch.weight.sum((1, 2, 3))
            patch.weight /= 255.0

    def forward(self, pixels: Tensor) -> Tensor:
        net = self.net
        t = net.patch(pixels.permute(0, 3, 1, 2).float())
        return net.blocks16(net.merge(net.blocks8(t)))


class SynthesisGraph(nn.Module):
    """Latents to uint8 pixels, rounded and clipped; offset and scale are folded into the last layer."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = copy.deepcopy(model.synthesis)
        patch = self.net.patch
        with torch.no_grad():
            patch.weight *= 255.0
            patch.bias.mul_(255.0).add_(127.5 + 0.5)  # the half turns truncation into rounding

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        net = self.net
        t = nn.functional.pixel_shuffle(net.split(net.blocks16(y_hat + _column(level))), 2)
        t = net.patch(net.blocks8(t)).clamp(0.0, 255.0).to(torch.uint8)
        h, w = t.shape[2], t.shape[3]
        return t.reshape(1, 3, 8, 8, h, w).permute(0, 4, 2, 5, 3, 1).reshape(1, 8 * h, 8 * w, 3)


class ScalesGraph(nn.Module):
    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = frozen_scales(model)

    def forward(self, z: Tensor, z_mul: Tensor, bias: Tensor) -> Tensor:
        return self.net(z, _column(z_mul), _column(bias)).to(torch.uint8)


class LatentDecoderGraph(nn.Module):
    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.mean, self.dequantise = model.mean, model.scales.dequantise

    def forward(self, z: Tensor, z_mul: Tensor, r: Tensor, inv_gain: Tensor) -> Tensor:
        parts = split_phases(r * _column(inv_gain))
        return self.mean.walk(self.dequantise(z, _column(z_mul)) / Z_UNIT, lambda p, mean: mean + parts[p])


class LatentEncoderGraph(nn.Module):
    """The encoder's side of the walk; what it will not code (skip class, padding) it takes as zero, as a decoder does."""

    def __init__(self, model: Calotype, z_limit: int) -> None:
        super().__init__()
        self.hyper, self.mean, self.scales = model.hyper, model.mean, frozen_scales(model)
        self.z_limit = z_limit

    def forward(
        self, y: Tensor, gain: Tensor, inv_gain: Tensor, z_gain: Tensor, z_mul: Tensor, bias: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        gain, inv_gain, mul = _column(gain), _column(inv_gain), _column(z_mul)
        z = torch.round(self.hyper(y, gain) * _column(z_gain)).clamp(-self.z_limit, self.z_limit)
        index = self.scales(z, mul, _column(bias))
        gates, parts = split_phases((index > 0.5).to(y.dtype) * valid), split_phases(y)
        rounded: list[Tensor] = []

        def code(p: int, mean: Tensor) -> Tensor:
            rounded.append(torch.round((parts[p] - mean) * gain) * gates[p])
            return mean + rounded[p] * inv_gain

        self.mean.walk(self.scales.dequantise(z, mul) / Z_UNIT, code)
        return z, join_phases(rounded)


def frozen_scales(model: Calotype) -> nn.Module:
    """The scales network with its weights replaced by the integers they stand for."""
    scales = copy.deepcopy(model.scales)
    for layer in (scales.wide, scales.up, scales.near, scales.out):
        weight, bias = layer.integers()
        layer.weight.data, layer.bias.data = weight.detach().clone(), bias.detach().clone()
        layer.integers = lambda w=layer.weight, b=layer.bias: (w, b)  # already integers
    return scales


def _onnx(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], dynamic: dict[str, dict[int, str]]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer, input_names=list(inputs), output_names=outputs,
            dynamic_axes=dynamic, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return half_stored(buffer.getvalue())


def half_stored(data: bytes, smallest: int = 8192) -> bytes:
    """Keep large weights as float16 behind a Cast, which a runtime folds away when it loads the graph: half the size.

    Integer weights below 2048 in magnitude are exact in float16, so the scales graph does not change.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(data)
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor)
        peak = float(np.abs(array).max(initial=0.0))
        if array.size < smallest or not 1e-2 < peak < 2048:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def graphs(model: Calotype, z_limit: int) -> dict[str, bytes]:
    """The five graphs of a pack, serialised."""
    m, k = model.config.latents, model.config.hyper
    y, r, z = torch.zeros(1, m, 8, 12), torch.zeros(1, m, 8, 12), torch.zeros(1, k, 2, 3)
    vector, z_vector = torch.ones(m), torch.ones(k)
    hw, ab = {2: "h", 3: "w"}, {2: "a", 3: "b"}
    encoder_inputs = {
        "y": y, "gain": vector, "inv_gain": vector, "z_gain": z_vector, "z_mul": z_vector, "bias": vector,
        "valid": torch.ones(1, 1, 8, 12),
    }  # fmt: skip
    return {
        "analysis": _onnx(
            AnalysisGraph(model), {"pixels": torch.zeros(1, 128, 192, 3, dtype=torch.uint8)}, ["y"],
            {"pixels": {1: "H", 2: "W"}, "y": hw},
        ),
        "latent_encoder": _onnx(
            LatentEncoderGraph(model, z_limit), encoder_inputs, ["z", "r"],
            {"y": hw, "valid": hw, "z": ab, "r": hw},
        ),
        "scales": _onnx(
            ScalesGraph(model), {"z": z, "z_mul": z_vector, "bias": vector}, ["index"], {"z": ab, "index": hw}
        ),
        "latent_decoder": _onnx(
            LatentDecoderGraph(model), {"z": z, "z_mul": z_vector, "r": r, "inv_gain": vector}, ["y_hat"],
            {"z": ab, "r": hw, "y_hat": hw},
        ),
        "synthesis": _onnx(
            SynthesisGraph(model), {"y_hat": y, "level": vector}, ["pixels"],
            {"y_hat": hw, "pixels": {1: "H", 2: "W"}},
        ),
    }  # fmt: skip


# -- exactness -------------------------------------------------------------------------------------------------------


def check_bounds(model: Calotype, z_mul: np.ndarray, bias: np.ndarray, z_limit: int) -> dict[str, float]:
    """Largest accumulator that each integer layer can reach.

    Raises:
        ExportError: if one reaches 2^24, where float32 stops being exact.
    """
    scales = model.scales
    top = float(np.abs(bias).max())
    bounds = {
        "dequantise": z_limit * float(z_mul.max()) + 128,
        "wide": scales.wide.bound(Z_PEAK),
        "up": scales.up.bound(255),
        "near": scales.near.bound(255),
        "out": scales.out.bound(255) + top,
    }
    for name, bound in bounds.items():
        if bound + 2.0**10 >= EXACT:
            raise ExportError(f"scales layer {name}: sums can reach {bound:.0f}, exact only below {EXACT}; train it smaller")
    return bounds


def check_golden(scales_graph: bytes, z: np.ndarray, z_mul: np.ndarray, bias: np.ndarray, index: np.ndarray) -> None:
    """Run the exported scales graph on the golden vectors.

    Raises:
        ExportError: if one index differs from torch's in float64.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(scales_graph, providers=["CPUExecutionProvider"])
    for k in range(len(z)):
        feeds = {"z": z[k : k + 1], "z_mul": z_mul[k], "bias": bias[k]}
        (got,) = session.run(None, {n: v.astype(np.float32) for n, v in feeds.items()})
        wrong = int((got[0] != index[k]).sum())
        if wrong:
            raise ExportError(f"golden vector {k}: {wrong} of {index[k].size} sigma indices differ between torch and ONNX Runtime")


# -- tables ----------------------------------------------------------------------------------------------------------


class Statistics:
    """Counts of coded symbols over photographs: r by sigma index, z by level and channel."""

    RADIUS = 400

    def __init__(self, anchors: int, hyper: int) -> None:
        self.r = np.zeros((SCALES, 2 * self.RADIUS + 1))
        self.z = np.zeros((anchors, hyper, 2 * self.RADIUS + 1))

    @torch.no_grad()
    def add(self, model: Calotype, x: Tensor, level: Tensor) -> None:
        """Count what coding ``x`` (0..1) at ``level`` [B] would write."""
        out = model(x, level, hard=True)
        radius, span = self.RADIUS, 2 * self.RADIUS + 1
        r = out.r.clamp(-radius, radius).long() + radius
        flat = out.index.long() * span + r
        self.r += torch.bincount(flat.flatten(), minlength=SCALES * span).reshape(SCALES, span).numpy()
        z = out.z.clamp(-radius, radius).long() + radius
        channel = torch.arange(z.shape[1])[None, :, None, None]
        near = torch.floor(level + 0.5).long()[:, None, None, None]
        flat = (near * z.shape[1] + channel) * span + z
        self.z += torch.bincount(flat.flatten(), minlength=self.z.size).reshape(self.z.shape).numpy()


def r_tables(statistics: Statistics, prior: float = 3000.0) -> TableSet:
    """Calibrated tables of the sigma classes: a Gaussian worth ``prior`` samples, plus symmetrised counts."""
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    for sigma, counts in zip(log_scales(SCALES, SCALE_MIN, SCALE_MAX), statistics.r, strict=True):
        radius = max(1, min(int(np.ceil(4.2 * sigma + 0.5)), middle - 1))
        gauss = np.maximum(gaussian_pmf(float(sigma), radius), 1e-9)
        counts = (counts + counts[::-1]) / 2
        inside = counts[middle - radius : middle + radius + 1]
        seen = np.append(inside, counts.sum() - inside.sum())
        pmf = gauss * prior + seen
        pmfs.append(pmf / pmf.sum())
        offsets.append(-radius)
    return TableSet(pmfs, offsets)


def z_tables(model: Calotype, statistics: Statistics, prior: float = 200.0) -> TableSet:
    """Tables of the hyper-latents, level by level: the trained logistic worth ``prior`` samples, plus counts."""
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    loc = model.levels.z_loc.detach().double().numpy()
    scale = np.exp(model.levels.z_log_scale.detach().double().numpy())
    for level in range(loc.shape[0]):
        for channel in range(loc.shape[1]):
            mu, s = loc[level, channel], scale[level, channel]
            radius = int(np.clip(np.ceil(9 * s), 4, 120))
            low = int(np.clip(round(mu) - radius, -middle, middle - 2 * radius))
            edges = 1 / (1 + np.exp(-(np.arange(low, low + 2 * radius + 2) - 0.5 - mu) / s))
            inside = statistics.z[level, channel, low + middle : low + middle + 2 * radius + 1]
            outside = statistics.z[level, channel].sum() - inside.sum()
            pmf = np.append(np.diff(edges), 1 - edges[-1] + edges[0]) * prior + np.append(inside, outside)
            pmf = np.maximum(pmf / pmf.sum(), 1e-7)
            pmfs.append(pmf / pmf.sum())
            offsets.append(low)
    return TableSet(pmfs, offsets)


# -- the pack --------------------------------------------------------------------------------------------------------


def export(
    model: Calotype, statistics: Statistics, folder: Path, *, name: str = "photo", training: dict[str, Any] | None = None
) -> str:
    """Write a pack and return its id.  ``folder`` appears whole or not at all; an existing one is replaced.

    Raises:
        ExportError: if the exactness bound or a golden vector fails.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    model = model.to(memory_format=torch.contiguous_format)
    levels = model.levels
    with torch.no_grad():
        z_mul = round_through(levels.log_z_step.exp() * (256 * Z_UNIT)).numpy().astype(np.int32)
        bias = round_through(levels.bias * 2.0**model.scales.OUT).numpy().astype(np.int32)
        arrays: dict[str, np.ndarray] = {
            "gain": levels.log_gain.double().exp().numpy(),
            "inv_gain": levels.log_inv_gain.double().exp().numpy(),
            "z_gain": 256.0 * Z_UNIT / z_mul.astype(np.float64),
            "z_mul": z_mul,
            "bias": bias,
            "level_vector": levels.vector.numpy().astype(np.float32),
        }
    z_limit = min(1023, int((EXACT - 2**12) // int(z_mul.max())))
    bounds = check_bounds(model, z_mul, bias, z_limit)
    for prefix, tables in (("r_", r_tables(statistics)), ("z_", z_tables(model, statistics))):
        arrays |= {prefix + key: value for key, value in tables.to_arrays().items()}
    arrays |= _golden(model, z_mul, bias, z_limit)

    files = graphs(model, z_limit)
    anchors = z_mul.shape[0]
    g = [_at(t, int(level)) for level in arrays["golden_level"] for t in (z_mul, bias)]
    check_golden(files["scales"], arrays["golden_z"], np.stack(g[0::2]), np.stack(g[1::2]), arrays["golden_index"])

    from safetensors.numpy import save

    contents = {f"{graph}.onnx": data for graph, data in files.items()}
    contents["tables.safetensors"] = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()}
    identity = hashlib.sha256("".join(f"{f} {hashes[f]}\n" for f in sorted(hashes)).encode()).hexdigest()
    c = model.config
    manifest = {
        "format": 1, "name": name, "id": identity, "files": hashes, "coder": 1,
        "latents": c.latents, "hyper_latents": c.hyper, "stride": 16, "hyper_stride": 64, "levels": anchors,
        "quality": [[0, 0], [100, 256 * (anchors - 1)]], "z_limit": z_limit,
        "analysis_margin": -(-c.analysis_blocks[0] // 2) + c.analysis_blocks[1] + MARGIN_SLACK,
        "synthesis_margin": c.synthesis_blocks[0] + -(-c.synthesis_blocks[1] // 2) + MARGIN_SLACK,
        "tile": 1024, "training": {**(training or {}), "integer_bounds": bounds},
    }  # fmt: skip
    contents["manifest.json"] = (json.dumps(manifest, indent=1) + "\n").encode()
    _publish(contents, folder)
    return identity


def _at(table: np.ndarray, level: int) -> np.ndarray:
    """Exact interpolation between trained levels, as in calotype.codec.pack."""
    a, f = divmod(level, 256)
    b = min(a + 1, len(table) - 1)
    return (table[a].astype(np.int64) * (256 - f) + table[b].astype(np.int64) * f + 128) >> 8


def _golden(model: Calotype, z_mul: np.ndarray, bias: np.ndarray, z_limit: int) -> dict[str, np.ndarray]:
    """Random hyper-latents, some at the limits, and their sigma indices computed in float64."""
    rng = np.random.default_rng(20261121)
    top = 256 * (len(z_mul) - 1)
    levels = np.array([0, 256 + 101, top // 2 + 77, top], np.int32)
    z = np.round(rng.normal(0, 12, (len(levels), z_mul.shape[1], 3, 3))).astype(np.int32)
    z[:, ::7, 0, 0], z[:, 3::11, 1, 1] = z_limit, -z_limit
    scales = frozen_scales(model).double()
    index = []
    with torch.no_grad():
        for k, level in enumerate(levels):
            mul, b = (torch.from_numpy(_at(t, int(level))).double()[None, :, None, None] for t in (z_mul, bias))
            index.append(scales(torch.from_numpy(z[k : k + 1]).double(), mul, b)[0].numpy().astype(np.uint8))
    return {"golden_level": levels, "golden_z": z, "golden_index": np.stack(index)}


def _publish(contents: dict[str, bytes], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=folder.name + "-", dir=folder.parent))
    try:
        for file, data in contents.items():
            (temporary / file).write_bytes(data)
        os.chmod(temporary, 0o755)
        if folder.exists():
            old = temporary.with_name(temporary.name + "-old")
            os.replace(folder, old)
            os.replace(temporary, folder)
            shutil.rmtree(old)
        else:
            os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
