"""``python -m calotype.lab.train``: training where nothing is installed but torch; see ``--help``."""

import time

_BEGUN = time.monotonic()

if __name__ == "__main__":
    import sys

    from calotype.lab.train.command import main

    sys.exit(main(prog="python -m calotype.lab.train", begun=_BEGUN))
