"""Hold runs beside each other: python compare.py runs=[outputs/sweeps/NAME] sort=psnr writes a table and a page."""

from sr.cli import main

if __name__ == "__main__":
    main("compare")
