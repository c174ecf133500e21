"""Count and time models, one row each: python measure.py model=[bsrn,rlfn] scale=4, or model=all."""

import sys

from omegaconf import DictConfig

from sr.cli import main
from sr.errors import UserError


@main("measure")
def run(cfg: DictConfig) -> None:
    from sr.measuring.measure import measure

    measure(cfg)


if __name__ == "__main__":
    from sr.measuring.measure import spelt_out

    try:
        sys.argv[1:] = spelt_out(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
    run()
