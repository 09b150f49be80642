"""Parameters and multiply-accumulates of an ONNX graph, in the exact rule.

Exact: one multiply-accumulate for each product that a convolution or matrix product needs for its output (for
a transposed convolution: for its input), biases and everything pointwise not counted. Quantised graphs count
as the layers that they stand for.
"""

from __future__ import annotations

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
    """Parameters and kMAC per pixel of a pack, on a picture of 512 x 512; the keys of Codec.complexity."""
    from calotype.codec import manifest

    latents, hyper = (1, pack.manifest.latents, 32, 32), (1, pack.manifest.hyper_latents, 8, 8)
    sizes: dict[str, tuple[int, ...]] = {
        "pixels": (1, 512, 512, 3),
        "y": latents,
        "r": latents,
        "keep": latents,
        "y_hat": latents,
        "z": hyper,
    }
    counts = {name: count(manifest.read(pack.path, f"{name}.onnx"), sizes) for name in manifest.GRAPHS}
    kmac = {name: macs / (512 * 512 * 1000) for name, (_, macs) in counts.items()}
    return {
        "parameters": sum(parameters for parameters, _ in counts.values()),
        "kmac_per_pixel": {
            "encode": kmac["analysis"] + kmac["hyper_encoder"] + kmac["latent_encoder"] + kmac["scales"],
            "decode": kmac["scales"] + kmac["latent_decoder"] + kmac["synthesis"],
            **kmac,
        },
        "rule": RULE,
    }
