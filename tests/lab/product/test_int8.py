"""Networks in 8-bit integers: nearly those in float32, and the same in torch and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional as F

from calotype.codec import metrics
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.lab.export import Statistics, export
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_start import start
from calotype.lab.pack.fixed_networks import FixedNetworks
from calotype.lab.pack.graphs import compact, graphs
from calotype.lab.pack.int8 import Observed, best_range, equalise, observe
from calotype.lab.pack.int8_transforms import IntAnalysisGraph
from calotype.lab.pack.latent_graphs import HyperMaps
from calotype.lab.pack.qdq import WEIGHT_PEAK, Conv, Quantise, Range, blocks, unshuffled
from calotype.lab.train.data import Photos

Graphs = dict[str, bytes]
Z_LIMIT = 500


@pytest.fixture(scope="module")
def model(photos: Photos) -> Calotype:
    """A started model all of whose branches do something."""
    torch.manual_seed(5)
    sizes = {"latents": 96, "width": 96, "narrow": 16, "narrow16": 24, "wide16": 24, "render": 16}
    sizes |= {"analysis_blocks": (2, 2), "lambdas": (0.002, 0.01, 0.05)}
    model = Calotype(Config.from_dict(sizes))
    start(model, lambda seed: photos.crops([0, 2, 4, 5], (seed,), 4, 128) / 255.0, batches=4)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "expand" in name or name.startswith(("latents.mean.out", "latents.hyper.out")):
                p += 0.01 * torch.randn_like(p)
            elif "render.out" in name:  # in units of 4 grey levels
                p += 0.3 * torch.randn_like(p)
    return model.eval()


@pytest.fixture(scope="module")
def calibration(photos: Photos) -> tuple[torch.Tensor, torch.Tensor]:
    return photos.crops([0, 2, 4, 5], (7,), 6, 128) / 255.0, torch.linspace(0.1, 1.9, 6)


@pytest.fixture(scope="module")
def seen(model: Calotype, calibration: tuple[torch.Tensor, torch.Tensor]) -> Observed:
    return observe(model, *calibration)


@pytest.fixture(scope="module")
def data(model: Calotype, seen: Observed) -> Graphs:
    """The graphs, of the analysis in float32 and with integers."""
    return graphs(model, Z_LIMIT, seen)


def run(data: bytes, **feeds: Any) -> np.ndarray:
    """What comes out first."""
    return everything(data, **feeds)[0]


def everything(data: bytes, **feeds: Any) -> list[np.ndarray]:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    given = {node.name: np.asarray(feeds[node.name]) for node in session.get_inputs()}
    return [np.asarray(t) for t in session.run(None, given)]


def level(model: Calotype, at: float) -> dict[str, np.ndarray]:
    """Inputs of graphs, for tiles of 8 x 8 latents and its multiples."""
    with torch.no_grad():
        k = model.levels(torch.tensor([at]))
    knobs = {name: value[0, ..., 0, 0].numpy() for name, value in vars(k).items()}
    return {**knobs, "level": knobs["vector"]}


def whole(y: np.ndarray) -> np.ndarray:
    """The mask of a tile without padding."""
    return np.ones((1, 1, *y.shape[2:]), np.float32)


def decibels(signal: np.ndarray, error: np.ndarray) -> float:
    return float(10 * np.log10(signal.var() / np.square(error).mean()))


def test_the_transforms_are_nearly_those_in_float32(
    model: Calotype, data: Graphs, calibration: Any, picture: Callable[..., np.ndarray]
) -> None:
    """The analysis in bytes, and the synthesis in fixed point."""
    pixels, knobs = picture(96, 160, 3)[None], level(model, 1.0)
    y = run(data["analysis"], pixels=pixels)
    y8 = run(data["analysis.int8"], pixels=pixels)
    assert y8.shape == y.shape
    assert 35 < decibels(y, y8 - y) < 70  # it did something
    x = run(data["synthesis"], y_hat=y, level=knobs["level"])[0]
    fixed = FixedNetworks(model, *calibration)
    inputs = np.rint((y + knobs["level"][:, None, None]) / fixed.unit[:, None, None]).astype(np.float64)
    x8 = fixed.synthesis(torch.from_numpy(inputs).clamp(-32768, 32767))[0].permute(1, 2, 0).numpy()
    assert x8.shape == pixels.shape[1:]
    assert 44 < metrics.psnr(x, x8.astype(np.uint8)) < 80
    assert metrics.psnr(pixels[0], x8.astype(np.uint8)) > 25


def test_torch_computes_the_same(
    model: Calotype,
    seen: Observed,
    monkeypatch: pytest.MonkeyPatch,
    picture: Callable[..., np.ndarray],
) -> None:
    """Up to values that a sum in another order rounds to the other side; so with weights stored in full."""
    monkeypatch.setattr("calotype.lab.pack.graphs.compact", lambda data: data)
    data = graphs(model, Z_LIMIT, seen)
    pixels, knobs = torch.from_numpy(picture(64, 96, 4))[None], level(model, 1.5)
    vectors = {name: torch.from_numpy(value) for name, value in knobs.items()}
    hyper = HyperMaps(model.latents.hyper, Z_LIMIT, seen)
    with torch.no_grad():
        y = IntAnalysisGraph(model, seen)(pixels)
        given = F.pad(y, (0, 2, 0, 4))
        gain = torch.cat((vectors["low_gain"][-1], vectors["high_gain"][-1]))
        z = hyper(given.permute(0, 2, 3, 1), gain, 4096 / vectors["z_mul"]).permute(0, 3, 1, 2)
    got = run(data["analysis.int8"], pixels=pixels.numpy())
    assert decibels(y.numpy(), got - y.numpy()) > 45
    feeds = {**knobs, "y": given.numpy(), "inside": whole(given.numpy())}
    got = run(data["hyper_encoder"], **feeds)
    assert np.abs(got - z.numpy()).max() <= 1
    assert (got == z.numpy()).mean() > 0.98


def test_weights_have_seven_bits_and_every_kernel_is_an_integer_one(data: Graphs, tmp_path: Path) -> None:
    integers = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load_model_from_string(data["analysis.int8"]).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims and len(tensor.dims) > 1
    ]
    assert len(integers) >= 8
    # 255 * 63 * 2 fits into 16 bits, so no CPU's pairwise sums overflow
    assert all(np.abs(array.astype(int)).max() == WEIGHT_PEAK for array in integers)

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(data["analysis.int8"], options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert operators.count("QLinearConv") >= 4
    assert operators.count("MatMulIntegerToFloat") >= 4
    assert operators.count("Conv") == 0
    assert operators.count("DequantizeLinear") <= 8  # of small tensors between


def test_bottlenecks_of_float_graphs_are_stored_in_bytes() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.1, (96, 96, 3, 3)).astype(np.float32)
    node = onnx.helper.make_node("Conv", ["x", "net.blocks8.0.conv.weight"], ["y"])
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 96, 5, 5])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 96, 3, 3])],
        [numpy_helper.from_array(weight, "net.blocks8.0.conv.weight")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    data = compact(model.SerializeToString())
    assert len(data) < weight.size * 1.05
    x = rng.normal(0, 1, (1, 96, 5, 5)).astype(np.float32)
    expected = run(model.SerializeToString(), x=x)
    assert decibels(expected, run(data, x=x) - expected) > 38


# -- the choice of steps ---------------------------------------------------------------


def test_a_range_rounds_and_clips() -> None:
    steps = Range(0.5, 100)
    assert steps(np.array([0.2, 0.3, -1000.0, 1000.0, 77.6])).tolist() == [0.0, 0.5, -50.0, 77.5, 77.5]


def test_bytes_stand_for_the_values_of_a_range() -> None:
    steps, x = Range(0.5, 100), torch.tensor([0.2, 0.3, -1000.0, 1000.0, 77.6])
    layer = Quantise(steps)
    assert layer.bytes(x).tolist() == [100, 101, 0, 255, 255]
    assert layer.bytes(x).dtype == torch.uint8
    assert layer(x).tolist() == steps(x.numpy()).tolist()
    assert torch.equal(Quantise(None)(x), x)


def test_rare_values_are_clipped_when_that_is_better() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (5000, 8))
    x[0, 0] = 40
    weight = rng.normal(0, 1, (4, 8, 1))
    steps, error = best_range(x, weight)
    assert steps(np.array([40.0]))[0] < 39
    assert 0 < error < 0.01
    assert steps(np.zeros(1))[0] == 0


def test_channels_of_different_power_are_equalised() -> None:
    rng = np.random.default_rng(2)
    power = 10.0 ** np.linspace(-2, 1, 16)
    x = np.abs(rng.normal(0, 1, (4000, 16))) * power
    weight = rng.normal(0, 1, (12, 16, 1)) / power[:, None]
    divisor, (steps,) = equalise([(x, weight)])
    assert divisor[-1] / divisor[0] > 10
    _, before = best_range(x, weight)
    _, after = best_range(x / divisor, weight * divisor[:, None])
    assert after < before / 10
    assert steps.scale > 0


def test_biases_absorb_the_mean_error_of_weights() -> None:
    rng = np.random.default_rng(3)
    x = np.abs(rng.normal(3, 1, (2000, 24)))
    weight, bias = rng.normal(0, 1, (16, 24, 1)), rng.normal(0, 1, 16)
    steps, _ = best_range(x, weight)
    maps = torch.from_numpy(x.reshape(1, 40, 50, 24)).float()
    exact = x @ weight[:, :, 0].T + bias
    with torch.no_grad():
        errors = [
            Conv(weight, bias, steps, given)(maps).numpy().reshape(-1, 16) - exact for given in (None, x)
        ]
    assert np.abs(errors[1].mean(0)).max() < 0.2 * np.abs(errors[0].mean(0)).max()


def unblocks(x: torch.Tensor, side: int) -> torch.Tensor:
    """The inverse of `blocks`."""
    _, h, w, c = x.shape
    x = x.reshape(h, w, side, c // side).permute(0, 2, 1, 3)
    return x.reshape(1, h * side, w * side, c // (side * side))


@pytest.mark.parametrize("side", [1, 2, 8])
def test_blocks_are_a_pixel_shuffle_in_another_order(side: int) -> None:
    x = torch.arange(3 * 16 * 24).reshape(1, 16, 24, 3).float()
    assert torch.equal(unblocks(blocks(x, side), side), x)
    layer = torch.nn.Conv2d(5, 3 * side * side, 1)
    weight, bias = unshuffled(layer, side)
    maps = torch.randn(1, 5, 2, 3)
    with torch.no_grad():
        expected = F.pixel_shuffle(layer(maps), side).permute(0, 2, 3, 1)
    rows = maps.permute(0, 2, 3, 1).double() @ torch.from_numpy(weight).T + torch.from_numpy(bias)
    assert torch.allclose(unblocks(rows, side).float(), expected, atol=1e-5)


# -- a pack ----------------------------------------------------------------------------


def test_a_calibrated_pack_codes_as_well_with_integers(
    model: Calotype,
    photos: Photos,
    calibration: tuple[torch.Tensor, torch.Tensor],
    picture: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    statistics = Statistics()
    statistics.add(model, photos.crops([0, 2, 4, 5], (99,), 6, 128) / 255.0, torch.linspace(0, 2, 6))
    export(model, statistics, tmp_path / "pack", calibration=calibration)
    pixels = picture(150, 210, 9)
    sizes, likeness = [], []
    for precision in ("fp32", "int8"):
        pack = Pack(tmp_path / "pack", precision=precision)  # type: ignore[arg-type]
        data = encode(Picture(pixels), quality=60, pack=pack).data
        sizes.append(len(data))
        likeness.append(metrics.psnr(pixels, decode(data, pack=pack).picture.pixels))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
    assert likeness[1] == pytest.approx(likeness[0], abs=0.15)
