"""Training: data, objectives, optimisers, the loop, checkpoints.  ``python -m calotype.lab.train --help``."""
