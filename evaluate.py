"""Measure models on benchmarks: python evaluate.py checkpoint=RUN/checkpoints/last.ckpt data=[set5,set14]."""

from sr.cli import main

if __name__ == "__main__":
    main("evaluate")
