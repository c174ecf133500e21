"""Count and time models, one row each: python measure.py model=[bsrn,rlfn] scale=4, or model=all."""

from sr.cli import main

if __name__ == "__main__":
    main("measure")
