"""The order of coding: every site once, as docs/FORMAT.md says, each from what is known before it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from calotype.lab.models.calotype_coding import padded
from calotype.lab.models.calotype_levels import steps_of
from calotype.lab.models.calotype_walk import (
    HIGH_OCTAVES,
    HYPER_OCTAVES,
    LOW_OCTAVES,
    Stage,
    join_phases,
    split_phases,
    stages,
    walk,
)

ROWS, COLUMNS = 16, 24
Sites = list[tuple[int, int]]


def sites(octaves: int) -> list[Sites]:
    """Of every stage, in raster order, by the words of FORMAT.md."""
    whole = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]

    def congruent(row: int, column: int, modulus: int) -> Sites:
        return [site for site in whole if (site[0] % modulus, site[1] % modulus) == (row, column)]

    found = [congruent(0, 0, 2**octaves)]
    for octave in range(octaves - 1, -1, -1):
        s = 2 ** (octave + 1)
        found += [congruent(s // 2, s // 2, s), congruent(0, s // 2, s), congruent(s // 2, 0, s)]
    return found


@pytest.fixture
def numbered() -> Tensor:
    """A map that holds the number of each site."""
    return torch.arange(ROWS * COLUMNS).reshape(1, 1, ROWS, COLUMNS).float()


@pytest.mark.parametrize("octaves", [1, 2, 3])
def test_every_site_is_coded_once_in_the_order_of_the_format(octaves: int, numbered: Tensor) -> None:
    expected, coded = sites(octaves), list[Sites]()

    def code(stage: Stage, known: list[Tensor]) -> Tensor:
        own = stage.pick(numbered)
        assert stage.number == len(coded)
        assert all(t.shape == own.shape for t in known)
        seen = {site for earlier in coded for site in earlier}
        for phase, t in enumerate(known):
            there = [divmod(int(n), COLUMNS) for n in t.flatten()]
            # Phase 0 is all that earlier octaves coded; the others are those of this octave.
            assert set(there) <= seen
            assert phase or len(seen) - len(there) * (len(known) - 1) == len(there)
        coded.append([divmod(int(n), COLUMNS) for n in own.flatten()])
        return own

    assert torch.equal(walk(octaves, code), numbered)
    assert coded == expected
    assert sorted(site for stage in coded for site in stage) == sorted(
        (row, column) for row in range(ROWS) for column in range(COLUMNS)
    )


@pytest.mark.parametrize("octaves", [1, 2, 3])
def test_what_is_known_lies_around_the_same_index(octaves: int, numbered: Tensor) -> None:
    """Sites of equal index in the maps of an octave are one 2x2 grid of that octave."""

    def code(stage: Stage, known: list[Tensor]) -> Tensor:
        own, pitch = stage.pick(numbered), 2**stage.octave
        for t, offset in zip(known, (0, pitch * COLUMNS + pitch, pitch)):
            corner = torch.arange(0, ROWS, 2 * pitch)[:, None] * COLUMNS + torch.arange(0, COLUMNS, 2 * pitch)
            assert torch.equal(t[0, 0], (corner + offset).float())
        return own

    walk(octaves, code)


def test_the_maps_of_the_model_have_these_stages() -> None:
    assert (HYPER_OCTAVES, LOW_OCTAVES, HIGH_OCTAVES) == (2, 3, 1)
    assert [len(stages(octaves)) for octaves in (2, 3, 1)] == [7, 10, 4]
    assert [steps_of(stage) for stage in stages(3)] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_phases_are_joined_as_they_were_split() -> None:
    t = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    assert torch.equal(join_phases(split_phases(t)), t)
    for part, (i, j) in zip(split_phases(t), ((0, 0), (1, 1), (0, 1), (1, 0))):
        assert torch.equal(part, t[:, :, i::2, j::2])


@pytest.mark.parametrize(("height", "width"), [(8, 16), (1, 1), (9, 15), (13, 8)])
def test_padding_repeats_the_edge(height: int, width: int) -> None:
    t = torch.rand(2, 3, height, width)
    whole = padded(t)
    assert whole.shape[2:] == (-(-height // 8) * 8, -(-width // 8) * 8)
    rows = torch.arange(whole.shape[2]).clamp(max=height - 1)
    columns = torch.arange(whole.shape[3]).clamp(max=width - 1)
    assert torch.equal(whole, t[:, :, rows][:, :, :, columns])
