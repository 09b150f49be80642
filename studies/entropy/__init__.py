"""What the shipped pack's entropy model leaves: other tables for its symbols, other hyper-latents."""
