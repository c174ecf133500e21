"""Draw a paper's figure from models, runs and images: python figure.py figure=crop_grid weights=[rlfn_x4,bsrn_x4]."""

from omegaconf import DictConfig

from sr.cli import main


@main("figure")
def run(cfg: DictConfig) -> None:
    from sr.figures.figure import figure

    figure(cfg)


if __name__ == "__main__":
    run()
