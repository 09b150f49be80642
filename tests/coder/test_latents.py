"""The parser alone: what is written is read, all kernels agree, bad input is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import every

from calotype.coder import LatentCoder, TableSet
from calotype.coder.latents import kernels
from calotype.errors import FormatError

from .networks import HIGH, LOW, K, random_arrays, random_coder, random_level, random_tile, tables

CODER = random_coder()
LEVEL = random_level()
TILE = random_tile(19, 22)
CLASSES = CODER.classes(LEVEL, *TILE)
STREAM = CODER.write(LEVEL, TILE[0], CLASSES.r)
SEEDS = st.integers(0, 2**32 - 1)
MANY = 4 * settings().max_examples  # what is cheap is tried oftener


@given(st.integers(1, 40), st.integers(1, 40), SEEDS, st.booleans())
def test_round_trip(h, w, seed, wild):
    coder, level = random_coder(seed % 4), random_level(seed)
    z, r = random_tile(h, w, seed, wild=wild)
    settled = coder.classes(level, z, r).r
    data = coder.write(level, z, settled)
    z_back, r_back = coder.read(level, data, h, w)
    np.testing.assert_array_equal(z_back, z)
    np.testing.assert_array_equal(r_back, settled)
    z_low, r_low = coder.read(level, data, h, w, low_only=True)
    np.testing.assert_array_equal(z_low, z)
    np.testing.assert_array_equal(r_low, settled[:LOW])


def test_classes_force_zero_where_nothing_is_coded():
    _, r = TILE
    skipped = CLASSES.index == 0
    assert 0.05 < skipped[LOW:].mean() < 0.95
    assert not skipped[:LOW].any()
    assert (r[skipped] != 0).any()
    assert (CLASSES.r[skipped] == 0).all()
    moved = np.abs(CLASSES.r[~skipped] - r[~skipped])
    assert 0.1 < moved.mean() < 0.9
    assert moved.max() == 1  # to a value of its quantiser
    again = CODER.classes(LEVEL, TILE[0], CLASSES.r)
    np.testing.assert_array_equal(again.index, CLASSES.index)


def test_a_stream_is_as_long_as_its_tables_say():
    """The tables that `classes` names are those that were used."""
    z_laws, r_laws = tables()
    z, found = TILE[0], CLASSES
    assert (found.second == 1).mean() > 0.1
    assert ((found.r % 2 == found.second) | (found.r == 0)).all()
    kind = np.full(found.index.shape, 128)
    kind[:LOW] = 64
    kind[:LOW, ::8, ::8] = 0
    number = np.sign(found.r) * ((np.abs(found.r) + found.second) // 2)
    table = np.where(kind + found.index == 128, 128, kind + found.index + 192 * found.second)
    bits = z_laws.bits(z - found.z_shift, found.z_table).sum() + r_laws.bits(number, table, skip=128).sum()
    assert 0 <= len(STREAM) * 8 - bits < 8 * 16 + 0.01 * bits


def test_what_is_not_on_the_trellis_is_not_written():
    wrong = CLASSES.r.copy()
    wrong[0, 0, 0] += 1  # base, coded first: of the first quantiser, which has even values
    with pytest.raises(ValueError, match="a residual is not of its quantiser"):
        CODER.write(LEVEL, TILE[0], wrong)


@pytest.mark.parametrize("kernel", kernels())
@pytest.mark.parametrize("seed", range(4))
def test_kernels_agree(kernel, seed):
    level, tile = random_level(seed), random_tile(30, 70, seed, wild=seed == 3)
    expected = random_coder(seed, "portable").classes(level, *tile)
    found = random_coder(seed, kernel).classes(level, *tile)
    for field in fields(found):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))


def test_threads_share_a_coder():
    sizes = [(5 + i, 30 - i) for i in range(12)]

    def work(size):
        z, r = random_tile(*size, seed=size[0])
        settled = CODER.classes(LEVEL, z, r).r
        data = CODER.write(LEVEL, z, settled)
        return data, (CODER.read(LEVEL, data, *size)[1] == settled).all()

    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(work, sizes))
    assert parallel == [work(size) for size in sizes]
    assert all(same for _, same in parallel)


def read_or_refused(data, h=19, w=22, low_only=False):
    """z and r, or None if the data is refused."""
    try:
        z, r = CODER.read(LEVEL, data, h, w, low_only=low_only)
    except FormatError:
        return None
    assert abs(z).max() <= 1023
    assert abs(r).max() <= 32767
    return z, r


@given(st.binary(max_size=3000), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_random_bytes(data, h, w, low_only):
    read_or_refused(data, h, w, low_only)
    read_or_refused(STREAM[:16] + data, h, w, low_only)


@given(st.integers(0, 8 * len(STREAM) - 1))
@settings(max_examples=MANY)
def test_one_flipped_bit_is_noticed(bit):
    data = bytearray(STREAM)
    data[bit // 8] ^= 1 << bit % 8
    found = read_or_refused(bytes(data))
    if found is not None:  # a bit of an escape, say, is free: then it is another tile's stream
        assert CODER.write(LEVEL, *found) == data
    read_or_refused(bytes(data), low_only=True)


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 40, len(STREAM) // 2, len(STREAM) - 2, len(STREAM) - 1])
def test_truncated_or_longer(cut):
    assert read_or_refused(STREAM[:cut]) is None
    assert read_or_refused(STREAM + STREAM[:cut] + b"\0\0") is None


@pytest.mark.parametrize(("law", "message"), [(0, "hyper-latent is beyond"), (1, "residual is beyond")])
def test_values_beyond_the_limits_are_damage(law, message):
    """A table may hold values that a stream may not."""
    good = list(tables())
    far = good.copy()
    far[law] = TableSet([[1, 1]] * len(good[law]), [40_000] * len(good[law]))
    with pytest.raises(FormatError, match=message):
        LatentCoder(random_arrays(), *far).read(LEVEL, STREAM, 19, 22)
    if law == 1:
        with pytest.raises(FormatError, match=message):
            LatentCoder(random_arrays(), far[0], TableSet([[1, 1]] * 384, [1 << 30] * 384)).read(
                LEVEL, STREAM, 19, 22
            )


def only(r, value):
    """Such a residual at the first place, which has the first quantiser, among zeros."""
    found = 0 * r
    found[0, 0, 0] = value
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, r: (z + 1024, r), "z must be within"),
        (lambda z, r: (z, only(r, 1 << 16)), "r must be within"),
        (lambda z, r: (z, 1 * (CODER.classes(LEVEL, z, 0 * r).index == 0)), "class is 0"),
        (lambda z, r: (z[:, :-1], r), "z must be of shape"),
        (lambda z, r: (z, r[:-1]), "r must be of shape"),
        (lambda z, r: (z, r[:, :0]), "1 to 4096"),
        (lambda z, r: (z, r[0]), "3 dimensions"),
        (lambda z, r: (z * 0.5, r), "integers expected"),
    ],
)
def test_bad_values_are_not_written(change, message):
    with pytest.raises(ValueError, match=message):
        CODER.write(LEVEL, *change(TILE[0], CLASSES.r))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (4097, 1), (1, 2**40)])
def test_bad_sizes_are_not_read(size):
    with pytest.raises(ValueError, match="1 to 4096"):
        CODER.read(LEVEL, STREAM, *size)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("z_mul", np.zeros(K, int), "z_mul must be 1"),
        ("z_mul", np.ones(K + 1, int), "shape"),
        ("z_place", np.full((7, K), 2**22 + 1), "z_place"),
        ("z_scale", np.full((6, K), 0), "shape"),
        ("low_bias", np.full((10, LOW), -(2**22) - 1), "low_bias"),
        ("high_bias", np.full((4, HIGH), -(2**31)), "high_bias"),
        ("high_bias", np.full((4, HIGH), 2**31), "range"),
    ],
)
def test_bad_levels(name, value, message):
    level = replace(LEVEL, **{name: value})
    with pytest.raises(ValueError, match=message):
        CODER.read(level, STREAM, 19, 22)
    with pytest.raises(ValueError, match=message):
        CODER.write(level, TILE[0], CLASSES.r)


@pytest.mark.parametrize("name", every(3, sorted(random_arrays())))
def test_every_array_is_needed_and_checked(name):
    arrays = random_arrays()
    array = arrays.pop(name)
    with pytest.raises(ValueError, match=r"missing|fit"):
        LatentCoder(arrays, *tables())
    wider = np.concatenate((array, array[:1]))
    with pytest.raises(ValueError, match=r"fit the other arrays|must have"):
        LatentCoder({**arrays, name: wider}, *tables())


@pytest.mark.parametrize("name", every(3, sorted(random_arrays())))
def test_sums_beyond_float32_are_refused(name):
    """Weights and biases of any size are fine while no sum can reach 2^24."""
    arrays = random_arrays()
    arrays[name] = np.full_like(arrays[name], 2**24 if name.endswith("bias") else 32767)
    # Of `own` two weights of a row are left, too few for such a sum.
    refused = "triangular" if name.startswith("hyper.own") else r"beyond 2\^24"
    with pytest.raises(ValueError, match=refused):
        LatentCoder(arrays, *tables())


def test_other_bad_arrays():
    arrays = random_arrays()
    with pytest.raises(ValueError, match="1 arrays that the networks do not have"):
        LatentCoder({**arrays, "scales.more.weight": np.zeros((1, 1, 1, 1), np.int16)}, *tables())
    LatentCoder({**arrays, "levels.gain": np.zeros(3)}, *tables())
    with pytest.raises(ValueError, match="64 tables of z and 384 of r"):
        LatentCoder(arrays, *tables()[::-1])
    with pytest.raises(ValueError, match="no kernel"):
        LatentCoder(arrays, *tables(), kernel="abacus")
    with pytest.raises(ValueError, match="dimensions"):
        LatentCoder({**arrays, "scales.wide.weight": np.zeros(3, int)}, *tables())
