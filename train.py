"""Train a super-resolution model as its paper did, then measure it: python train.py model=bsrn data=div2k."""

from omegaconf import DictConfig

from sr.cli import main


@main("train")
def run(cfg: DictConfig) -> float | None:
    from sr.sweeps.row import run_row
    from sr.training.train import train

    return run_row(cfg, train)


if __name__ == "__main__":
    run()
