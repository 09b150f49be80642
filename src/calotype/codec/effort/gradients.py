"""The small operations of a pack's graphs in NumPy: those that make constants, and those that move numbers
about, with their derivatives. Rounding to bytes is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort.graphs import TYPES

Array = NDArray[Any]
Back = Callable[[Array], list["Array | None"]]
"""From the gradient of a node's output to those of its inputs (None: not differentiable)."""


def _fit(gradient: Array, like: Array) -> Array:
    """Undo broadcasting: the gradient summed to the shape of an input."""
    extra = gradient.ndim - like.ndim
    if extra:
        gradient = gradient.sum(tuple(range(extra)))
    spread = tuple(k for k, size in enumerate(like.shape) if size == 1 and gradient.shape[k] > 1)
    return gradient.sum(spread, keepdims=True) if spread else gradient


def _add(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    return a + b, lambda g: [_fit(g, a), _fit(g, b)]


def _subtract(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    return a - b, lambda g: [_fit(g, a), _fit(-g, b)]


def _multiply(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    return a * b, lambda g: [_fit(g * b, a), _fit(g * a, b)]


def _divide(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    if np.issubdtype(a.dtype, np.integer):
        return a // b, lambda g: [None, None]
    return a / b, lambda g: [_fit(g / b, a), None]


def _transpose(attributes: Any, x: Array) -> tuple[Array, Back]:
    order = attributes["perm"]
    return x.transpose(order), lambda g: [g.transpose(np.argsort(order))]


def _reshape(_: Any, x: Array, shape: Array) -> tuple[Array, Back]:
    wanted = [x.shape[k] if size == 0 else int(size) for k, size in enumerate(shape)]
    return x.reshape(wanted), lambda g: [g.reshape(x.shape), None]


def _unsqueeze(_: Any, x: Array, axes: Array) -> tuple[Array, Back]:
    return np.expand_dims(x, tuple(int(a) for a in axes.reshape(-1))), lambda g: [g.reshape(x.shape), None]


def _concat(attributes: Any, *parts: Array) -> tuple[Array, Back]:
    axis = attributes["axis"]
    cuts = np.cumsum([part.shape[axis] for part in parts])[:-1]
    return np.concatenate(parts, axis), lambda g: list(np.split(g, cuts, axis))


def _gather(attributes: Any, x: Array, at: Array) -> tuple[Array, Back]:
    return np.asarray(np.take(x, at, attributes.get("axis", 0))), lambda g: [None, None]


def _cast(attributes: Any, x: Array) -> tuple[Array, Back]:
    kind = TYPES[attributes["to"]]
    keep = kind == np.uint8  # the pixels, whose rounding is left out
    return x if keep else x.astype(kind), lambda g: [g]


def _identity(_: Any, x: Array) -> tuple[Array, Back]:
    return x, lambda g: [g]


def _shape(_: Any, x: Array) -> tuple[Array, Back]:
    return np.array(x.shape), lambda g: [None]


OPERATIONS: dict[str, Callable[..., tuple[Array, Back]]] = {
    "Add": _add, "Sub": _subtract, "Mul": _multiply, "Div": _divide, "Transpose": _transpose,
    "Reshape": _reshape, "Unsqueeze": _unsqueeze, "Concat": _concat, "Gather": _gather, "Cast": _cast,
    "Identity": _identity, "Shape": _shape,
}  # fmt: skip
