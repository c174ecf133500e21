"""A training run: its stages, budget, schedules and trainer, and the scores that it ends with."""
