"""Train a super-resolution model as its paper did, then measure it: python train.py model=bsrn data=div2k."""

from sr.cli import main

if __name__ == "__main__":
    main("train")
