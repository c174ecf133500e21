"""Train a super-resolution model as its paper did, then measure it: python train.py model=bsrn data=div2k."""

from omegaconf import DictConfig

from sr.entry.cli import main


@main("train")
def run(cfg: DictConfig) -> float | None:
    from sr.entry.train import train

    return train(cfg)


if __name__ == "__main__":
    run()
