"""Measure models on benchmarks: python evaluate.py checkpoint=RUN/checkpoints/last.ckpt data=[set5,set14]."""

from omegaconf import DictConfig

from sr.cli import main


@main("evaluate")
def run(cfg: DictConfig) -> None:
    from sr.measuring.evaluate import evaluate

    evaluate(cfg)


if __name__ == "__main__":
    run()
