"""Hold runs beside each other: python compare.py runs=[outputs/sweeps/NAME] sort=psnr writes a table and a page."""

import sys

from omegaconf import DictConfig

from sr.cli import main


@main("compare")
def run(cfg: DictConfig) -> None:
    from sr.comparison.compare import compare

    compare(cfg)


if __name__ == "__main__":
    from sr.comparison.compare import spelt_out

    sys.argv[1:] = spelt_out(sys.argv[1:])
    run()
