"""Parameters and multiply-accumulates of an ONNX graph, in the exact rule.

Exact: one multiply-accumulate for each product that a convolution or matrix product needs for its output (for
a transposed convolution: for its input), biases and everything pointwise not counted. Quantised graphs count
as the layers that they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

RULE = "exact: products of convolutions and matrix products"
STORED = ("Cast", "DequantizeLinear", "Mul")  # between weights as they are stored and as they are used
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def count(data: bytes, sizes: dict[str, tuple[int, ...]]) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of one call with inputs of these shapes.

    Parameters are the numbers of weights and biases of its layers. Raises ImportError without the package
    onnx, ValueError where the size of an input is not known.
    """
    import onnx

    graph = onnx.load_model_from_string(data).graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes = weights | _shapes(data, sizes)
    source: dict[str, Any] = {}
    for node in graph.node:  # only from constants on: a cast of the picture is none
        if node.op_type in STORED and (node.input[0] in weights or node.input[0] in source):
            source[node.output[0]] = node

    parameters = macs = 0
    for node in graph.node:
        if node.op_type in LAYERS:
            inputs = [_stored(name, source) for name in node.input]
            parameters += sum(prod(weights[name]) for name in inputs[1:] if name in weights)
            macs += _macs(node, shapes)
    return parameters, macs


def _shapes(data: bytes, sizes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Of what goes into the layers and comes out of them, seen in one run: not every size can be inferred."""
    import numpy as np
    import onnx
    import onnxruntime as ort

    model = onnx.load_model_from_string(data)
    constants = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        own = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        size = sizes.get(value.name, own)
        if 0 in size:
            raise ValueError(f"the size of input {value.name} is not given")
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = np.zeros(size, kind)
    layers = [node for node in model.graph.node if node.op_type in LAYERS]
    names = {name for node in layers for name in (*node.input[:2], *node.output)} - constants - set(feeds)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = zip(sorted(names), session.run(sorted(names), feeds), strict=True)
    return {name: array.shape for name, array in (*found, *feeds.items())}


def _stored(name: str, source: dict[str, Any]) -> str:
    """The constant that a layer's input is made of, or the input."""
    while name in source:
        name = source[name].input[0]
    return name


def _macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    weight, out = shapes[node.input[1]], shapes[node.output[0]]
    if node.op_type == "Conv":  # weight: [out, in / groups, rows, columns]
        return prod(out) * prod(weight[1:])
    if node.op_type == "ConvTranspose":  # weight: [in, out / groups, rows, columns]
        return prod(shapes[node.input[0]]) * prod(weight[1:])
    return prod(out) * shapes[node.input[0]][-1]


def of_pack(pack: Any) -> dict[str, Any]:
    """Parameters and kMAC per pixel of a pack, on a picture of 512 x 512; the keys of Codec.complexity.

    Parameters are all weights that it codes with, each once; encoders compute the means, too.
    """
    from calotype.codec import manifest, tensors

    fields, latents = pack.manifest, 32 * 32
    y = (1, fields.latents, 32, 32)
    sizes: dict[str, tuple[int, ...]] = {"pixels": (1, 512, 512, 3), "y": y, "inside": (1, 1, 32, 32)}
    counts = {
        name: count(manifest.read(pack.path, f"{name}.onnx"), sizes) for name in ("analysis", "hyper_encoder")
    }
    counts["coder"] = of_coder(tensors.load(manifest.read(pack.path, manifest.TABLES)), latents)
    networks = tensors.load(manifest.read(pack.path, manifest.NETWORKS))
    for part in ("mean", "synthesis"):
        counts[part] = of_decoder(networks, part, latents)
    kmac = {name: macs / (512 * 512 * 1000) for name, (_, macs) in counts.items()}
    return {
        "parameters": sum(parameters for parameters, _ in counts.values()),
        "kmac_per_pixel": {
            "encode": sum(kmac[name] for name in ("analysis", "hyper_encoder", "coder", "mean")),
            "decode": sum(kmac[name] for name in ("coder", "mean", "synthesis")),
            **kmac,
        },
        "rule": RULE,
    }


def of_decoder(arrays: Mapping[str, Any], part: str, latents: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the layers "mean." or "synthesis." of a pack's decoder."""
    parameters = macs = 0
    for name, array in arrays.items():
        owner, layer, *rest = name.split(".")
        if owner != part or rest[-1:] == ["mul"]:
            continue
        parameters += array.size
        if rest[-1:] != ["weight"]:
            continue
        if owner == "mean" and layer.startswith("low"):
            sites = latents // 4 ** (3 - int(rest[0]) // 3)  # a phase of octave 2, 1 or 0
        elif owner == "mean":
            sites = latents // 4
        else:
            sites = latents * {"blocks16": 1, "split": 1, "convs": 16, "out": 16}.get(layer, 4)
        macs += array.size * sites
    return parameters, macs


def of_coder(arrays: Mapping[str, Any], latents: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the integer layers of a pack (names: docs/FORMAT.md), for a tile
    of ``latents`` positions, a multiple of 64.
    """
    parameters = macs = 0
    for name, array in arrays.items():
        part, *rest = name.split(".")
        if part not in ("hyper", "scales"):
            continue
        parameters += array.size
        if rest[-1] == "weight":
            macs += array.size * _sites(part, rest[0], int(rest[1]) if rest[1].isdigit() else 0, latents)
    return parameters, macs


def _sites(part: str, layer: str, number: int, latents: int) -> int:
    """How many positions a layer of the coder is computed at."""
    cells = latents // 4  # of z, and of each phase of the high channels
    staged = {"hyper": (2, cells), "scales": (3, latents)}
    if part == "scales" and not layer.startswith("low"):
        return cells
    octaves, sites = staged[part]
    stage = number if layer in ("own", "low_out") else number + 1
    octave = octaves - 1 - max(stage - 1, 0) // 3
    return int(sites // 4 ** (octave + 1))
