"""What a pack needs to know of a system's entropy model, and which systems it can be known of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from calotype.errors import CalotypeError
from calotype.lab.models.balle2017 import Balle2017
from calotype.lab.models.balle2018 import Factorized, ScaleHyperprior
from calotype.lab.models.base import LabModel
from calotype.lab.models.cheng2020 import ChengHyperprior
from calotype.lab.models.minnen2018 import MeanScale
from calotype.lab.models.zhu2022 import SwinHyperprior

FACTORIZED = (Balle2017, Factorized)
HYPERPRIOR = (ScaleHyperprior, MeanScale, ChengHyperprior)


class NotForPacks(CalotypeError):
    """The system cannot become a pack; the message says why."""


@dataclass(eq=False)
class Side:
    """Side information of a system, float32 on the CPU."""

    latents: int
    hyper_latents: int
    """1 where there are none: a hyper-latent that is always 0."""
    z_median: Tensor
    """What z is rounded around, ``[Z]``."""
    y_median: Tensor
    """What y is rounded around where nothing predicts it, ``[M]``."""
    z_limit: int = 1
    """Largest magnitude of a hyper-latent."""
    h_a: nn.Module | None = None
    h_s: nn.Module | None = None
    """Gives sigma and, if ``mean``, mu behind it."""
    absolute: bool = False
    """Whether h_a sees magnitudes only."""
    mean: bool = False


def side_of(model: LabModel) -> Side:
    """The side information of a system; ``z_limit`` is still to be set.

    Raises:
        NotForPacks: when probabilities depend on more, or the transforms on where in the picture they are.
    """
    if isinstance(model, SwinHyperprior):
        raise NotForPacks(
            f"{model.name} has windows at fixed places of the picture, which a pack, cutting it otherwise, "
            "does not keep"
        )
    if isinstance(model, FACTORIZED):
        median = model.prior.medians.detach().flatten()
        return Side(len(median), 1, torch.zeros(1), median)
    if isinstance(model, HYPERPRIOR):
        m = model.config.get("m", model.config["n"])
        mean = not isinstance(model, ScaleHyperprior)
        z_median = model.prior.medians.detach().flatten()
        return Side(
            m, len(z_median), z_median, torch.zeros(m),
            h_a=model.h_a, h_s=model.h_s, absolute=not mean, mean=mean,
        )  # fmt: skip
    raise NotForPacks(
        f"{model.name} cannot become a pack: probabilities must follow from side information alone, in a "
        "form that has one in integers (balle2017, balle2018-*, minnen2018-mean-scale, cheng2020-hyperprior)"
    )
