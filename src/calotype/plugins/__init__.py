"""Calotype inside other libraries. ``import calotype`` registers the Pillow plugin."""
