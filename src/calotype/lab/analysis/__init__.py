"""Measurements on models: complexity, receptive fields, statistics of latents."""
