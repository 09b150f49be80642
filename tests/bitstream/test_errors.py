"""Errors say where, in one line, and survive the way from a worker process."""

from __future__ import annotations

import pickle

import pytest

from calotype.errors import CalotypeError, FormatError, ImageError, LimitError, PackError


@pytest.mark.parametrize("kind", [FormatError, PackError, LimitError, ImageError])
def test_place_and_pickle(kind: type[CalotypeError]) -> None:
    error = kind("the file ends here", field="width", offset=11)
    assert issubclass(kind, CalotypeError)
    for same in (error, pickle.loads(pickle.dumps(error))):
        assert type(same) is kind
        assert str(same) == "width at offset 11: the file ends here"
        assert (same.field, same.offset) == ("width", 11)


def test_parts_of_a_place() -> None:
    assert str(FormatError("what")) == "what"
    assert str(FormatError("what", offset=0)) == "at offset 0: what"
    assert str(FormatError("what", field="icc")) == "icc: what"
