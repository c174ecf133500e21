"""Scores of models on image sets, in tables, beside the published ones."""
