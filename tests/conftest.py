"""Settings shared by all tests."""

from hypothesis import settings

# No deadline: a time limit per example fails on a busy machine. Derandomized: the same examples in every run.
settings.register_profile("calotype", deadline=None, derandomize=True)
settings.load_profile("calotype")
