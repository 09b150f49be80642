"""Laws over a few classes, one for each symbol: indices of quantisation centres, bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calotype.lab.entropy.distributions import P_MIN
from calotype.lab.entropy.stream import Reader, Writer
from calotype.lab.layers.bounds import lower_bound


class Logits:
    """What laws of symbols have in common, which are not numbers around a centre: it is 0."""

    logits: Tensor

    @property
    def centre(self) -> Tensor:
        return torch.zeros((), dtype=self.logits.dtype, device=self.logits.device)

    @property
    def dtype(self) -> torch.dtype:
        return self.logits.dtype


@dataclass
class Categories(Logits):
    """Symbols 0 .. L - 1 ``[B, C, ...]`` with ``logits`` ``[B, L, C, ...]``.

    ``assigned`` ``[B, L, C, ...]``, where known, are the soft assignments that the rate's gradient goes to.
    ``weight`` ``[B, C, ...]``, where known, is what each symbol weighs in the gradient, not in the count:
    half of it is as it was, half goes by the weight, and the weight has the gradient that this gives.
    """

    logits: Tensor
    assigned: Tensor | None = None
    weight: Tensor | None = None
    CHUNK = 1 << 20  # entries of the widest temporary array when coding

    def likelihood(self, v: Tensor) -> Tensor:
        log = torch.log_softmax(self.logits, 1)
        found = log.gather(1, v.detach().long().unsqueeze(1))[:, 0]
        if self.assigned is not None:
            soft = (self.assigned * log).sum(1)
            found = found + soft - soft.detach()
        if self.weight is not None:
            weighed = 0.5 * (1 + self.weight) * found
            found = weighed + (found - weighed).detach()
        return lower_bound(torch.exp(found), P_MIN)

    def _rows(self) -> Iterator[tuple[slice, Any]]:
        """Slices of the flattened symbols and their cumulative frequencies ``[n, L + 1]``."""
        from calotype.coder import cdf_rows

        p = torch.softmax(self.logits, 1).transpose(0, 1).flatten(1).T.cpu().numpy()
        step = max(1, self.CHUNK // p.shape[1])
        for begin in range(0, len(p), step):
            yield slice(begin, begin + step), cdf_rows(p[begin : begin + step])

    def write(self, stream: Writer, symbols: Tensor) -> None:
        s = symbols.reshape(-1).cpu().numpy().astype(np.int64)
        for part, rows in self._rows():
            i, j = np.arange(len(rows)), s[part]
            start = rows[i, j]
            stream.put_slots(start, rows[i, j + 1] - start)

    def read(self, stream: Reader) -> Tensor:
        found = np.concatenate([stream.get_search(rows) for _, rows in self._rows()])
        shape = (self.logits.shape[0], *self.logits.shape[2:])
        return torch.from_numpy(found.astype(np.int64)).reshape(shape)
