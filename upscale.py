"""Enlarge pictures with a trained network: python upscale.py input=photo.jpg model=RUN, or input=FOLDER."""

from sr.cli import main

if __name__ == "__main__":
    main("upscale")
