"""Metrics of image quality, and the protocols that say what they are computed on."""
