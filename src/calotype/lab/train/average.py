"""Keep of a run what a new one begins with: ``python -m calotype.lab.train.average RUN FILE``.

FILE then holds the moving average of the weights in float16, with the run's record.
"""

from __future__ import annotations

import sys
from pathlib import Path

from calotype.lab.train.state import State
from calotype.records.script import guarded


@guarded
def main(arguments: list[str]) -> int:
    """Write the average of the first argument's run to the second."""
    if len(arguments) != 2:
        print("usage: python -m calotype.lab.train.average RUN FILE", file=sys.stderr)
        return 2
    target = Path(arguments[1])
    State.load(Path(arguments[0])).average().save(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
