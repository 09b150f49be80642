"""Packs of published systems: those whose probabilities depend on side information alone."""
