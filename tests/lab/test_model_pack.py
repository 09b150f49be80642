"""Packs of published systems: the codec writes torch's symbols, reads them exactly, and needs no torch."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calotype import api
from calotype.bitstream import parse
from calotype.cli import main
from calotype.codec import latents
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.errors import PackError
from calotype.lab import registry
from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.codec import ModelCodec, exact
from calotype.lab.entropy import Gaussian
from calotype.lab.model_pack.graphs import onnx
from calotype.lab.model_pack.integer import SUM, Integers
from calotype.lab.model_pack.side import NotForPacks, side_of
from calotype.lab.model_pack.write import export
from calotype.lab.models.base import LabModel
from calotype.lab.models.cheng2020 import hyper_synthesis as cheng_hyper_synthesis
from calotype.lab.models.minnen2018 import hyper_synthesis as minnen_hyper_synthesis

from .conftest import picture, thin, trained

SYSTEMS = [
    "balle2017", "balle2018-factorized",
    "balle2018-hyperprior", "minnen2018-mean-scale", "cheng2020-hyperprior",
]  # fmt: skip


@cache
def system(name: str) -> LabModel:
    """A briefly trained one, its latents enlarged so that many are not 0."""
    model = copy.deepcopy(trained(name))
    with torch.no_grad():
        for p in model.g_a[-1].parameters():
            p *= 12 if name.startswith("cheng") else 4
    return model


def crops() -> list[Tensor]:
    source = picture(256, 256)
    return [
        torch.stack([source[:, i : i + 128, j : j + 128] for i, j in ((0, 0), (64, 9), (128, 128))]) / 255
    ]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pack]:
    folder = tmp_path_factory.mktemp("packs")
    for name in SYSTEMS:
        export(system(name), crops(), folder / name, training={"lambda": 0.02})
    return {name: Pack(folder / name) for name in SYSTEMS}


@cache
def image(height: int, width: int) -> np.ndarray:
    return picture(height, width, 7).permute(1, 2, 0).numpy()


def unit(pixels: np.ndarray) -> Tensor:
    return torch.tensor(pixels).permute(2, 0, 1)[None] / 255


def test_they_have_no_preview_and_count_no_bits(packs: dict[str, Pack]) -> None:
    pack = packs["balle2018-hyperprior"]
    data = api.encode(image(70, 90), quality=50, pack=pack)
    with pytest.raises(PackError, match="no preview"):
        api.preview(data, pack=pack)
    with pytest.raises(PackError, match="not counted"):
        api.probe(data, bits=True, pack=pack)


class Known:
    """A coder that gives a walk the symbols of a file, and looks at what the walk asks for."""

    def __init__(self, symbols: dict[str, Tensor], height: int, width: int) -> None:
        self.symbols, self.size = symbols, (height, width)
        self.distributions: dict[str, object] = {}

    def grid(self, stride: int) -> tuple[int, int, int]:
        return 1, self.size[0] // stride, self.size[1] // stride

    def code(self, name: str, values: Tensor | None, p: object, at: Tensor | None = None) -> Tensor:
        self.distributions[name] = p
        symbols = self.symbols[name] if values is None else torch.round(values.double() - p.centre)  # type: ignore[attr-defined]
        self.symbols[name] = symbols
        return symbols + p.centre  # type: ignore[attr-defined]


def symbols_of(pack: Pack, data: bytes, tile: int = 0) -> dict[str, Tensor]:
    """The integers in a tile of a file, as the codec reads them."""
    file = parse(data)
    height, width = -(-file.header.height // 16), min(64, -(-file.header.width // 16) - 64 * tile)
    z, r = latents.read(Networks(pack, pack.level(file.header.level)), file.tiles[tile], height, width)
    return {"z": torch.from_numpy(z).double(), "y": torch.from_numpy(r[..., :height, :width]).double()}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_symbols_are_those_of_the_laboratory(name: str, packs: dict[str, Pack]) -> None:
    """Written: what torch would write. Read: what torch decodes to the same pixels, but for rounding."""
    model, pack, pixels = system(name), packs[name], image(128, 192)
    data = api.encode(pixels, pack=pack)
    found = symbols_of(pack, data)
    twin = exact(model)
    with torch.no_grad():
        ours = Known({}, 128, 192)
        twin.walk(ours, twin.analyse(unit(pixels)))
        for key, symbols in ours.symbols.items():
            assert float((symbols != found[key]).double().mean()) <= 1e-3, key  # rounding of y at a half
        assert int((found["y"] != 0).sum()) > 50
        y_hat = twin.walk(Known({k: found[k] for k in ours.symbols}, 128, 192))
        shown = model.synthesise(y_hat.float()).clamp(0, 1)[0].permute(1, 2, 0) * 255
    decoded = np.asarray(api.decode(data, pack=pack)).astype(np.float64)
    assert np.abs(decoded - shown.numpy()).max() <= 0.51


@pytest.mark.parametrize("name", ["balle2018-factorized", "balle2018-hyperprior", "minnen2018-mean-scale"])
def test_files_are_about_as_long_as_the_laboratory_writes(name: str, packs: dict[str, Pack]) -> None:
    pixels = image(192, 320)
    ours = len(ModelCodec(system(name)).encode(pixels))
    assert abs(len(api.encode(pixels, pack=packs[name])) - ours) <= 0.03 * ours + 8


def test_tiles_and_windows_leave_no_trace(packs: dict[str, Pack]) -> None:
    """A picture of two tiles and several windows: analysis and synthesis are those of the whole picture."""
    name = "minnen2018-mean-scale"
    model, pack, pixels = system(name), packs[name], image(64, 1216)
    data = api.encode(pixels, pack=pack)
    networks = Networks(pack, pack.level(parse(data).header.level))
    with torch.no_grad():
        y = model.g_a(unit(pixels))
        y_hats = []
        for tile, part in enumerate((y[..., :64], y[..., 64:])):
            found = symbols_of(pack, data, tile)
            z = torch.round(model.h_a(part) - model.prior.medians)
            _, mu = model.h_s(z + model.prior.medians).chunk(2, 1)
            assert torch.equal(z.double(), found["z"])
            assert float((torch.round(part - mu) != found["y"]).double().mean()) <= 1e-3
            restored = latents.restore(
                networks, found["z"].float().numpy(), found["y"].float().numpy(), 4, part.shape[3]
            )
            y_hats.append(torch.from_numpy(restored))
        whole = model.g_s(torch.cat(y_hats, 3)).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(np.asarray(api.decode(data, pack=pack)) - whole).max() <= 0.51


def test_any_size_and_every_quality(packs: dict[str, Pack]) -> None:
    for name, pack in packs.items():
        for height, width in ((1, 1), (17, 40)):
            assert api.decode(api.encode(image(height, width), pack=pack), pack=pack).size == (
                width,
                height,
            ), name
        low, high = (api.encode(image(40, 40), quality, pack=pack) for quality in (0, 100))
        assert len(low) == len(high)  # one rate


def test_decoded_without_torch(packs: dict[str, Pack], tmp_path: Path) -> None:
    pack = packs["minnen2018-mean-scale"]
    data = api.encode(image(70, 90), pack=pack)
    (tmp_path / "a.calo").write_bytes(data)
    code = (
        "import sys; sys.modules['torch'] = None; from calotype.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["decode", tmp_path / "a.calo", tmp_path / "a.png", "--pack", pack.path]
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, timeout=120)
    expected = np.asarray(api.decode(data, pack=pack)).astype(int)
    assert np.abs(np.asarray(Image.open(tmp_path / "a.png")).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("net", "m"), [(minnen_hyper_synthesis(6, 8), 8), (cheng_hyper_synthesis(6), 6)], ids=["minnen", "cheng"]
)
def test_integers_are_exact_and_close(net: nn.Module, m: int) -> None:
    """The graph gives torch's float64 classes at the limits too; in range, classes nearly those of floats."""
    torch.manual_seed(0)
    for p in net.parameters():
        p.data += 0.15 * torch.randn_like(p)
    net = net.double().requires_grad_(False)
    centre, limit = torch.randn(6).double() / 3, 40
    z = torch.randn(4, 6, 5, 7).mul(6).round().double()
    integers = Integers(net, centre, m, [z], limit)
    assert all(bound < SUM for bound in integers.bounds)
    graph = onnx(
        integers.float(), {"z": z[:1].float()}, "index", {"z": {2: "a", 3: "b"}, "index": {2: "h", 3: "w"}}
    )
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    double = integers.double()
    for case in (z[:1], torch.full((1, 6, 2, 3), limit).double(), -limit * torch.sign(z[1:2])):
        (got,) = session.run(None, {"z": case.float().numpy()})
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, double(case).numpy())
    t = torch.cat((z, z[:, :1] * 0 + 1), 1)
    for layer in double.layers[:-1]:
        t = layer(t)
        assert torch.equal(t, t.round())
        assert float(t.abs().max()) <= layer.peak
        assert float(t.max()) > layer.peak / 4  # the scale is used
    sigma = net(z + centre[None, :, None, None])[:, :m]
    off = double(z).numpy().astype(int) - 1 - Gaussian(None, sigma).index()
    assert np.abs(off).mean() < 0.1


def test_channels_of_one_law_share_a_table() -> None:
    """More channels than classes are possible while many of them are alike."""
    torch.manual_seed(0)
    model = registry.build("balle2018-factorized", n=8, m=300).eval()
    with torch.no_grad():
        for p in [*model.prior.biases, model.prior.quantiles]:
            p[10:] = p[10]
    from calotype.lab.model_pack.write import _channel_tables

    tables, classes = _channel_tables(exact(model).prior)
    assert len(classes) == 300
    assert classes[10:].max() == classes[10:].min()
    assert len(tables["r_lengths"]) == 1 + classes.max() <= 12


def test_what_cannot_become_a_pack(tmp_path: Path) -> None:
    for name, reason in (
        ("minnen2018-autoregressive", "side information alone"),
        ("minnen2020-charm", "side information alone"),
        ("zhu2022-hyperprior", "windows"),
    ):
        with pytest.raises(NotForPacks, match=reason):
            side_of(thin(name))
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="not a pack"):
        export(thin("balle2017"), (), tmp_path / "other")
    with pytest.raises(ValueError, match="photographs"):
        export(thin("balle2018-hyperprior"), (), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, photos = tmp_path / "run", tmp_path / "photos"
    photos.mkdir()
    for seed in range(2):
        Image.fromarray(picture(140, 150, seed).permute(1, 2, 0).numpy()).save(photos / f"{seed}.png")
    save_checkpoint(run / "model.safetensors", trained("minnen2018-mean-scale"), {"lambda": 0.02})
    words = ["lab", "export", str(run), "-o", str(tmp_path / "pack")]
    assert main(words) == 1
    assert "--data" in capsys.readouterr().err
    assert main([*words, "--data", str(photos), "--batches", "1", "--note", "sources=made"]) == 0
    manifest = json.loads((tmp_path / "pack" / "manifest.json").read_text())
    assert manifest["name"] == manifest["training"]["system"] == "minnen2018-mean-scale"
    assert manifest["training"]["sources"] == "made"
    assert manifest["training"]["ranges from"]["photographs"] == 2
    calo = tmp_path / "a.calo"
    assert main(["encode", str(photos / "0.png"), str(calo), "--pack", str(tmp_path / "pack")]) == 0
    assert main(["decode", str(calo), str(tmp_path / "a.png"), "--pack", str(tmp_path / "pack")]) == 0
    assert Image.open(tmp_path / "a.png").size == (150, 140)
    save_checkpoint(tmp_path / "ar.safetensors", thin("minnen2018-autoregressive"))
    assert main(["lab", "export", str(tmp_path / "ar.safetensors"), "-o", str(tmp_path / "no")]) == 1
    assert "side information alone" in capsys.readouterr().err
