"""Draw a paper's figure from models, runs and images: python figure.py figure=crop_grid weights=[rlfn_x4,bsrn_x4]."""

from sr.cli import main

if __name__ == "__main__":
    main("figure")
