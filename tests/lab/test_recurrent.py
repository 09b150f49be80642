"""The recurrent systems: files that may be cut, units, bits, priming, adaptive rates, gradients in time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.conftest import every

from calotype import cli
from calotype.bench.codecs.lab import Lab
from calotype.bitstream import parse, write
from calotype.errors import FormatError
from calotype.lab import registry, use
from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.codec import ModelCodec, part_ends
from calotype.lab.entropy import Estimate
from calotype.lab.entropy.binary import Binary
from calotype.lab.entropy.sections import join, split
from calotype.lab.entropy.stream import Reader, Writer
from calotype.lab.layers.recurrent import CELLS, AssociativeCell, GruCell, LstmCell
from calotype.lab.models.base import LabModel
from calotype.lab.models.johnston2018 import dissimilarity
from calotype.lab.objective import RateDistortion
from calotype.lab.train.command import main as train_command

from .conftest import picture, thin

NAMES = [name for name in registry.names(LabModel) if registry.entry(name).model.progressive]


def test_which_are_progressive() -> None:
    assert set(NAMES) == {
        "toderici2016", "toderici2017-lstm", "toderici2017-gru", "toderici2017-associative", "johnston2018",
    }  # fmt: skip


# -- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", every(len(NAMES), NAMES))
def test_a_file_cut_anywhere_gives_its_whole_parts(name: str) -> None:
    codec, image = ModelCodec(thin(name)), picture(70, 90).permute(1, 2, 0).numpy()
    data = codec.encode(image)
    ends = part_ends(data)
    assert len(ends) == 3
    assert ends[-1] == len(data) - 4  # the container's checksum
    shown = [codec.decode(codec.encode(image, parts=k)) for k in (1, 2, 3)]
    np.testing.assert_array_equal(shown[2], codec.decode(data))
    assert not np.array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[1], shown[2])
    for k, end in enumerate(ends):
        np.testing.assert_array_equal(codec.decode(data[:end]), shown[k])
        np.testing.assert_array_equal(codec.decode(data[: end + 2]), shown[k])  # and what follows is no use
    for size in (ends[0] - 1, ends[0] // 2, 5):
        with pytest.raises(FormatError):
            codec.decode(data[:size])


def test_parts_are_the_same_bytes_whatever_follows() -> None:
    """Progressive: what a shorter file holds is the beginning of a longer one."""
    codec, image = ModelCodec(thin("toderici2017-lstm")), picture(64, 64).permute(1, 2, 0).numpy()
    payloads = [bytes(parse(codec.encode(image, parts=k)).tiles[0]) for k in (1, 2, 3)]
    assert payloads[2].startswith(payloads[1])
    assert payloads[1].startswith(payloads[0])
    assert [len(split(p)) for p in payloads] == [1, 2, 3]
    with pytest.raises(ValueError, match="at least one part"):
        codec.encode(image, parts=0)
    with pytest.raises(ValueError, match="no parts"):
        ModelCodec(thin("balle2017")).encode(image, parts=1)


def test_damaged_parts_are_errors() -> None:
    codec = ModelCodec(thin("toderici2016"))
    file = parse(codec.compress(picture(40, 40)[None] / 255))
    whole = split(file.tiles[0])
    for bad in (b"", join([b"", *map(bytes, whole)]), join([*map(bytes, whole)] * 2), b"\xff" * 9):
        with pytest.raises(FormatError):
            codec.decompress(write(file.header, [bad]))
    with pytest.raises(FormatError, match="part 3 is not whole"):
        codec.decompress(write(file.header, [bytes(file.tiles[0])[:-1]]))  # not cut: the container is whole


@pytest.mark.slow
def test_a_cut_file_in_another_process_and_on_the_command_line(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "m.safetensors", thin("toderici2017-gru"))
    image = picture(50, 60).permute(1, 2, 0).numpy()
    codec = use.open(tmp_path / "m.safetensors")
    assert codec.qualities == (1, 2, 3)
    data = codec.encode(image)
    cut = data[: part_ends(data)[1]]
    (tmp_path / "cut.calo").write_bytes(cut)
    script = (
        "import sys, pathlib, numpy, torch; torch.set_num_threads(1); from calotype.lab import use;"
        "folder = pathlib.Path(sys.argv[1]); data = (folder / 'cut.calo').read_bytes();"
        "numpy.save(folder / 'out.npy', use.decode(data, [folder]))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300)
    expected = codec.decode(codec.encode(image, 2))
    with pytest.raises(ValueError, match=r"whole parts, 1 to 3, got 1\.5"):
        codec.encode(image, 1.5)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    out = tmp_path / "out.png"
    given = ["decode", str(tmp_path / "cut.calo"), "-o", str(out), "--models", str(tmp_path)]
    assert cli.main(given) == 0
    np.testing.assert_array_equal(np.array(Image.open(out)), expected)
    (tmp_path / "cut.calo").write_bytes(data[:30])
    assert cli.main([*given, "--overwrite"]) != 0


def test_the_benchmark_draws_a_curve_through_the_parts(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "m.safetensors", thin("toderici2016"))
    codec, image = Lab().configured(str(tmp_path / "m.safetensors")), picture(64, 64).permute(1, 2, 0).numpy()
    assert codec.qualities == (1, 2, 3)
    sizes = [len(codec.encode(image, q)) for q in codec.qualities]
    assert sizes[0] < sizes[1] < sizes[2]
    assert codec.decode(codec.encode(image, 1)).shape == image.shape


def test_bits_as_they_are_cost_an_eighth_of_a_bit_per_pixel_and_iteration() -> None:
    torch.manual_seed(0)
    model = registry.build("toderici2016", n=16, bits=32, iterations=2).eval()
    x = picture(256, 256)[None] / 255
    with torch.no_grad():
        assert float(model(x).bpp[0]) == 0.25
        assert float(model(x, coder=Estimate(parts=1)).bpp[0]) == 0.125
    sizes = [8 * len(ModelCodec(model).compress(x, parts=k)) / 256**2 for k in (1, 2)]
    assert sizes == pytest.approx([0.125, 0.25], abs=0.008)  # container and the coder's states


@pytest.mark.slow
def test_the_model_of_the_bits_learns_what_repeats() -> None:
    """Trained alone, on the codes of one picture: fewer bits than there are, estimated and in a file."""
    model = thin("toderici2017-lstm")
    x = picture(128, 128)[None] / 255
    optimizer = torch.optim.Adam(model.bits.parameters(), 1e-2)
    for _ in range(25):
        bits = sum(model(x).bits.values()).sum()
        optimizer.zero_grad()
        bits.backward()
        optimizer.step()
    assert float(bits.detach()) < 0.8 * 3 * 8 * 8 * 8
    with torch.no_grad():
        bits = float(sum(model(x).bits.values()))
    assert abs(8 * len(ModelCodec(model).compress(x)) - bits) < 0.02 * bits + 8 * 72  # three streams


# -- units ----------------------------------------------------------------------------------------------


def test_lstm_is_the_textbooks() -> None:
    torch.manual_seed(0)
    cell = LstmCell(3, 4)
    x, h, c = torch.randn(1, 3, 5, 5), torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    out, (_, new) = cell(x, (h, c))
    kernel = torch.cat((cell.of_input.weight, torch.nn.functional.pad(cell.of_state.weight, (1, 1, 1, 1))), 1)
    t = torch.nn.functional.conv2d(torch.cat((x, h), 1), kernel, padding=1).view(4, 4, 5, 5)
    expected = torch.sigmoid(t[1]) * c + torch.sigmoid(t[0]) * torch.tanh(t[2])
    torch.testing.assert_close(new, expected)
    torch.testing.assert_close(out, torch.sigmoid(t[3]) * torch.tanh(expected))


def test_gru_keeps_its_state_while_the_gate_is_shut() -> None:
    """With every gate's input far below 0 and no residual paths, nothing new comes in."""
    torch.manual_seed(0)
    cell = GruCell(2, 3)
    with torch.no_grad():
        cell.of_input.weight.zero_()
        cell.of_state.weight.zero_()
        cell.of_input.weight[:3, 0, 1, 1] = -50.0  # z
        cell.past_state.weight.zero_()
    x, h = torch.ones(1, 2, 4, 4), torch.randn(1, 3, 4, 4)
    out, state = cell(x, h)
    torch.testing.assert_close(state, h)
    torch.testing.assert_close(out, h + 0.1 * cell.past_input(x))


def test_associative_memory_gives_back_what_its_key_wrote() -> None:
    """Written with keys of size 1 and read with their conjugates: the value; with other keys: less of it."""
    from calotype.lab.layers.recurrent import _product

    torch.manual_seed(0)
    cell = AssociativeCell(2, 8)

    def key() -> torch.Tensor:
        angle = 6.28 * torch.rand(1, 4, 1, 1)
        return torch.cat((torch.cos(angle), torch.sin(angle)), 1)

    mine, other, value = key(), key(), torch.randn(1, 8, 1, 1)
    back = mine * torch.tensor([1.0] * 4 + [-1.0] * 4).view(1, 8, 1, 1)
    memories = _product(cell._keys(mine), value[:, None])
    torch.testing.assert_close(_product(cell._keys(back), memories).mean(1), value)
    wrong = _product(cell._keys(other), memories).mean(1)
    assert float(wrong.square().sum()) < float(value.square().sum())


@pytest.mark.parametrize("cell", CELLS)
def test_units_halve_and_remember(cell: str) -> None:
    torch.manual_seed(0)
    unit, x = CELLS[cell](3, 8, 2), torch.randn(2, 3, 8, 12)
    first, state = unit(x, None)
    second, _ = unit(x, state)
    assert first.shape == (2, 8, 4, 6)
    assert float((first - second).detach().abs().max()) > 1e-3


# -- training -------------------------------------------------------------------------------------------


def test_loss_is_the_mean_of_all_iterations() -> None:
    model = thin("toderici2017-lstm")
    x = picture(64, 64)[None] / 255
    out = model(x)
    found = model.loss(x, out, RateDistortion(model, 0.02)).detach()
    assert len(out.known) == 3
    known = [k.detach() for k in out.known]
    steps = [float(255 * (x - 0.5 - k).abs().mean()) for k in known]
    assert float(found) == pytest.approx(float(out.bpp.detach()) + 0.02 * np.mean(steps), rel=1e-5)
    np.testing.assert_allclose(known[0] + 0.5, out.x_hat.detach())  # the last comes first


@pytest.mark.parametrize(("truncate", "reaches"), [(0, True), (1, False)])
def test_gradients_are_cut_where_asked(truncate: int, reaches: bool) -> None:
    """From the last reconstruction to the state that the first iteration left in the decoder."""
    torch.manual_seed(0)
    model = registry.build("toderici2017-lstm", n=16, bits=4, iterations=2, context=4, truncate=truncate)
    states = []
    model.decoder.units[0].register_forward_hook(lambda _m, _a, out: states.append(out[1][1]))
    out = model(picture(32, 32)[None] / 255)
    (gradient,) = torch.autograd.grad(out.known[0].sum(), states[0], allow_unused=True)
    assert (gradient is not None) == reaches


@pytest.mark.slow
def test_a_run_that_was_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    """Bits are drawn in training; gradients are cut in time."""
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        image = Image.fromarray(picture(80, 90, seed).permute(1, 2, 0).numpy())
        image.save(tmp_path / "photos" / f"{seed}.png")
    sizes = ["model.n=16", "model.bits=4", "model.iterations=3", "model.context=4", "model.truncate=2"]
    settings = ["batch=2", "crop=64", "held_out=1", "decay=0", *sizes]

    def train(run: str, steps: int, *more: str) -> dict[str, torch.Tensor]:
        words = ["toderici2017-lstm", "--data", str(tmp_path / "photos"), "--cache", str(tmp_path / "cache")]
        words += ["--out", str(tmp_path / run), "--quiet", "--lambda", "0.02", *more]
        set_all = [w for s in [*settings, f"steps={steps}"] for w in ("--set", s)]
        assert train_command([*words, *set_all]) == 0
        return load_file(tmp_path / run / "model.safetensors")

    whole = train("whole", 4)
    train("parts", 2)
    again = train("parts", 4, "--resume")
    assert whole.keys() == again.keys()
    assert all(torch.equal(v, again[k]) for k, v in whole.items())


def test_rate_trains_the_model_of_the_bits_alone() -> None:
    model = thin("toderici2017-gru").train()
    sum(model(picture(64, 64)[None] / 255).bits.values()).sum().backward()
    trained = {
        name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert trained == {"bits"}


def test_bits_are_drawn_in_training_and_signs_otherwise() -> None:
    model = thin("toderici2016")
    features = torch.full((1, 64, 40, 40), 0.02)
    v = torch.tanh(model.binarizer(features))
    fixed = model.binarise(features, None)
    assert torch.equal(fixed, torch.where(v >= 0, 1.0, -1.0))
    drawn = model.train().binarise(features, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(drawn.mean((2, 3)), v.mean((2, 3)), atol=0.1, rtol=0)


# -- priming and adaptive rates ---------------------------------------------------------------------------


def test_priming_runs_the_units_more_often_and_codes_no_more() -> None:
    runs = dict[int, int]()
    for prime in (0, 2):
        torch.manual_seed(0)
        model = registry.build("johnston2018", n=16, bits=4, iterations=2, context=4, prime=prime).eval()
        calls = []
        model.decoder.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        coder = Estimate()
        with torch.no_grad():
            model(picture(32, 32)[None] / 255, coder=coder)
        runs[prime] = len(calls)
        assert [name for name, *_ in coder.coded] == ["b", "active", "b"]
    assert runs == {0: 2, 2: 4}


@torch.no_grad()
def test_blocks_that_are_good_enough_get_no_more_bits() -> None:
    """Half of the picture is nearly what the decoder shows: no more bits go there."""
    torch.manual_seed(0)
    sizes = {"n": 16, "bits": 32, "iterations": 3, "context": 4, "prime": 0}
    model = registry.build("johnston2018", **sizes, target=20.0).eval()
    model.decoder.last.weight.zero_()  # always grey
    x = torch.full((1, 3, 64, 128), 0.51)
    x[:, :, :, 64:] = 1.0
    coder = Estimate()
    model(x, coder=coder)
    first, *later = [law.active for name, _, law, _ in coder.coded if name == "b"]
    assert float(first.mean()) == 1
    for active in later:
        assert active[0, 0, :, :3].sum() == 0
        assert active[0, 0, :, 3:].mean() == 1  # one column more: its neighbours miss the target
    data = ModelCodec(model).compress(x)
    torch.testing.assert_close(ModelCodec(model).decompress(data), torch.full_like(x, 0.5))
    full = registry.build("johnston2018", **{**model.config, "target": 1.0})
    full.load_state_dict(model.state_dict())
    assert len(data) < len(ModelCodec(full.eval()).compress(x))


def test_bits_that_are_off_cost_nothing_and_come_back_as_zero() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 5, 7, dtype=torch.float64)
    active = (torch.rand(1, 1, 5, 7) > 0.5).double()
    bits = torch.where(torch.rand(1, 3, 5, 7) > 0.5, 1.0, -1.0).double() * active
    law, writer = Binary(logits, active), Writer()
    law.write(writer, bits)
    reader = Reader(writer.finish())
    assert torch.equal(law.read(reader).double(), bits)
    reader.finish()
    off = (active == 0).expand_as(bits)
    assert (law.likelihood(bits)[off] == 1).all()
    nothing = Writer()
    Binary(logits, torch.zeros_like(active)).write(nothing, 0 * bits)
    assert torch.equal(
        Binary(logits, torch.zeros_like(active)).read(Reader(nothing.finish())), 0 * bits.long()
    )


def test_weights_of_places_that_look_different() -> None:
    """1 everywhere on average; more where structure differs than where only noise-free grey does not."""
    x = picture(64, 64)[None] / 255
    y = x.clone()
    y[:, :, :, 32:] = 0.5
    weight = dissimilarity(x, y)
    assert float(weight.mean()) == pytest.approx(1, abs=1e-5)
    assert float(weight[..., 40:].mean()) > 10 * float(weight[..., :24].mean())
