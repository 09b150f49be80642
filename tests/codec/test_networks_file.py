"""networks.safetensors that a decoder must not trust: each is one error of the pack, in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.codec import manifest, tensors
from calotype.codec.pack import Pack
from calotype.coder import DecoderNetworks, Wish
from calotype.coder.latents import kernels
from calotype.errors import PackError
from calotype.pack.files import identity

from .arrays import packed

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays(tiny: Pack) -> Arrays:
    return {name: array.copy() for name, array in tensors.load(tiny.file(manifest.NETWORKS)).items()}


@pytest.fixture
def opened(tiny: Pack, tmp_path: Path) -> Callable[[bytes], Pack]:
    """The small pack with other bytes for its networks, whose hash is right."""

    def make(data: bytes) -> Pack:
        for name in (manifest.NAME, *tiny.manifest.files):
            (tmp_path / name).write_bytes(manifest.read(tiny.path, name))
        (tmp_path / manifest.NETWORKS).write_bytes(data)
        fields = json.loads((tmp_path / manifest.NAME).read_text())
        fields["files"][manifest.NETWORKS] = hashlib.sha256(data).hexdigest()
        fields["id"] = identity(fields["files"])
        (tmp_path / manifest.NAME).write_text(json.dumps(fields))
        return Pack(tmp_path)

    return make


def refusal(pack: Pack) -> str:
    with pytest.raises(PackError) as caught:
        _ = pack.decoder
    message = str(caught.value)
    assert "\n" not in message
    assert str(pack.path) in message
    return message


def test_the_same_arrays_are_the_same_networks(opened: Callable[[bytes], Pack], arrays: Arrays) -> None:
    assert opened(packed(arrays)).decoder.channels == arrays["synthesis.split.weight"].shape[1]
    odd = {"mean.base": arrays["mean.base"]} | dict(sorted(arrays.items(), key=lambda item: item[1].size))
    assert opened(packed(odd)).decoder.channels  # in another order, and nothing at a multiple of its size


WEIGHT, BYTES = "synthesis.split.weight", "synthesis.blocks8.0.conv.weight"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (WEIGHT, lambda t: None, f"{WEIGHT}: missing"),
        ("mean.base", lambda t: None, "mean.base: missing"),
        ("synthesis.out.mul", lambda t: None, "synthesis.out.mul: missing"),
        (WEIGHT, lambda t: t[:, :-1], "to fit the other arrays"),
        (WEIGHT, lambda t: t[0], "four axes"),
        (WEIGHT, lambda t: t[:0], "1 to 4096"),
        (WEIGHT, lambda t: t.astype(np.int8), "must be int16"),
        (WEIGHT, lambda t: t.astype(np.float32), "must be int16"),
        (BYTES, lambda t: t.astype(np.int16), "must be int8"),
        (BYTES, lambda t: t.astype(np.uint8), "must be int8"),
        (BYTES, lambda t: t[:, :, :1, :1], "to fit the other arrays"),
        ("synthesis.split.bias", lambda t: t.astype(np.int64), "must be int32"),
        ("synthesis.split.bias", lambda t: t[1:], "to fit the other arrays"),
        ("synthesis.split.mul", lambda t: 0 * t, "synthesis.split.mul: must be above 0"),
        ("synthesis.blocks16.0.conv.mul", lambda t: -t, "must be above 0"),
        ("mean.out.3.mul", lambda t: np.where(np.arange(len(t)) == 5, 0, t).astype(np.int32), "above 0"),
        ("mean.base", lambda t: t + 40_000, "16 bits"),
        (WEIGHT, lambda t: np.full_like(t, 32767), r"beyond 2\^31"),
        (WEIGHT, lambda t: np.full_like(t, -32768), r"beyond 2\^31"),
        ("synthesis.split.bias", lambda t: np.full_like(t, -(2**31)), r"beyond 2\^31"),
        ("synthesis.convs.1.bias", lambda t: np.full_like(t, 2**31 - 1), r"beyond 2\^31"),
        ("mean.conv.2.weight", lambda t: np.full_like(t, 32767), r"beyond 2\^31"),
        ("preview.bias", lambda t: np.full_like(t, 2**31 - 1), r"beyond 2\^31"),
    ],
)
def test_bad_arrays(
    opened: Callable[[bytes], Pack], arrays: Arrays, name: str, change: Any, message: str
) -> None:
    other = change(arrays[name])
    given = {key: array for key, array in arrays.items() if key != name}
    if other is not None:
        given[name] = np.ascontiguousarray(other)
    told = refusal(opened(packed(given)))
    assert manifest.NETWORKS in told
    with pytest.raises(ValueError, match=message):
        DecoderNetworks(given)


def test_every_array_is_needed_and_checked_on_every_kernel(arrays: Arrays) -> None:
    for name in arrays:
        rest = {key: array for key, array in arrays.items() if key != name}
        longer = np.concatenate((arrays[name], arrays[name][:1]))
        for other in (rest, {**rest, name: longer}, {**arrays, f"{name}.more": arrays[name]}):
            for kernel in kernels():
                with pytest.raises(
                    ValueError, match=r"missing|fit|axes|does not have|do not have|even|differ"
                ):
                    DecoderNetworks(other, kernel=kernel)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_files_that_are_cut_off(opened: Callable[[bytes], Pack], arrays: Arrays, share: float) -> None:
    data = packed(arrays)
    assert manifest.NETWORKS in refusal(opened(data[: int(share * len(data))]))


@given(st.data())
def test_noise_in_the_header(tiny: Pack, data: st.DataObject) -> None:
    """Other arrays, or an error: nothing else comes of it."""
    whole = bytearray(tiny.file(manifest.NETWORKS))
    end = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(8, end - 1))] = data.draw(st.integers(32, 126))
    try:
        DecoderNetworks(tensors.load(bytes(whole)))
    except ValueError:
        return


def test_other_weights_are_another_decoder(opened: Callable[[bytes], Pack], arrays: Arrays) -> None:
    """Nothing is wrong with them but that the golden pixels are not met."""
    other = arrays["mean.base"] + 1
    assert "other pixels here" in refusal(opened(packed({**arrays, "mean.base": other})))


def test_networks_of_other_sizes_than_the_parser(tiny: Pack, pack: Pack) -> None:
    """Each is good; they do not belong together."""
    level = tiny.level(0)
    y, z = np.zeros((32, 8, 8), np.float32), np.zeros((4, 4, 4), np.int32)
    wish = Wish(tiny.unit, level.gains["low_gain"], level.gains["high_gain"], tiny.half_step)
    with pytest.raises(ValueError, match=r"of other sizes|must be of shape"):
        tiny.coder.choose(level.parser, pack.decoder, level.steps, wish, y, z)
