"""Flickr2K: 2650 photos (Lim et al., CVPRW 2017; Timofte et al., CVPRW 2017), for training."""

from pathlib import Path
from typing import Any

from sr.data.archives import FLICKR2K, Archive
from sr.data.missing import images_in, missing
from sr.data.pairs import ImagePair, pair_by_name
from sr.data.split import SplitModule, split_by_name


class Flickr2k(SplitModule):
    """Flickr2K_HR/000001.png ..., with Flickr2K_LR_bicubic/X2/000001x2.png ... where they are there.

    The set has no official validation part: a share of it, chosen by name, is held out when it is used alone.

    Args:
        root: the folder that holds Flickr2K_HR.
        val_share: part of the images held out, 0 to 1; 0 where another set is validated on.
        settings: see `SRDataModule`.
    """

    def __init__(self, *, root: str | Path, val_share: float = 0.01, **settings: Any) -> None:
        super().__init__(val_share=val_share, **settings)
        self.name = "Flickr2K"
        self._root = Path(root).expanduser()

    @property
    def root(self) -> Path:
        """The folder that holds Flickr2K_HR; the archive brings a level of its own."""
        return self._root / "Flickr2K" if (self._root / "Flickr2K").is_dir() else self._root

    def _all(self) -> list[ImagePair]:
        hr = images_in(self.root / "Flickr2K_HR")
        if not hr:
            setting = "data.root=<the folder that holds Flickr2K_HR>"
            looked = [self.root / "Flickr2K_HR"]
            raise missing("Flickr2K's images", looked, setting=setting, source=self.archives())
        lr = images_in(self.root / "Flickr2K_LR_bicubic" / f"X{self.scale}") if self.plain else []
        return pair_by_name(hr, lr or None, self.scale)

    def train_pairs(self) -> list[ImagePair]:
        return split_by_name(self._all(), self.val_share)[0]

    def val_pairs(self) -> list[ImagePair]:
        return self.held_out(self._all())

    def archives(self) -> tuple[list[Archive], Path]:
        return ([] if images_in(self.root / "Flickr2K_HR") else [FLICKR2K]), self._root
