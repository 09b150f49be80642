"""What the adversarial term of HiFiC does: a short run."""
