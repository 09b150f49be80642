"""``calotype lab experiment NAME ...``: check a published claim; stores results, prints a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from calotype.cli import USAGE

EXPERIMENTS = {"correlation": "the correlation loss on hyperpriors and context models (Ali et al. 2023)"}


def main(arguments: list[str]) -> int:
    """Run one experiment; returns the exit status."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print("usage: calotype lab experiment NAME ...\n")
        print("\n".join(f"  {key:12} {text}" for key, text in EXPERIMENTS.items()))
        return 0 if arguments else USAGE
    if name not in EXPERIMENTS:
        known = ", ".join(EXPERIMENTS)
        print(f"calotype lab experiment: there is no {name!r}; it is one of {known}", file=sys.stderr)
        return USAGE

    from calotype.lab.experiments import correlation

    return correlation.main(arguments[1:], prog=f"calotype lab experiment {name}", bd_rate=_bd_rate)


def _bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> float:
    """Percent of rate over the common range of PSNR; nan without one."""
    from calotype.bench.bdrate import Curve, bd_rate

    curves = [Curve([r for r, _ in points], [q for _, q in points]) for points in (anchor, test)]
    return float(bd_rate(*curves).value)
