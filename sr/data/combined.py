"""Several data sets as one."""

import logging
from collections.abc import Mapping
from typing import Any

from sr.data.images import Images
from sr.data.joined import JoinedPairs
from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair
from sr.data.pairset import Pairs
from sr.data.split import SplitModule
from sr.errors import UserError

log = logging.getLogger(__name__)


class Combined(SRDataModule):
    """Trains on the union of several sets, every image as likely as any other; validates on one of them.

    Args:
        sets: data modules by name; each keeps its own files, LR and degradation. Their batch, patch and
            augmentation are not used: this module's are.
        validate_on: the name of the set to validate and measure on; None is the first.
        settings: see `SRDataModule`.
    """

    def __init__(self, *, sets: Mapping[str, SRDataModule], validate_on: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.sets = {str(name): module for name, module in sets.items()}
        if not self.sets:
            raise UserError("data.sets is empty: name at least one set to combine")
        self.validate_on = validate_on or next(iter(self.sets))
        if self.validate_on not in self.sets:
            raise UserError(f"data.validate_on={self.validate_on} is not among the sets: {', '.join(self.sets)}")
        for name, module in self.sets.items():
            if module.scale != self.scale:
                raise UserError(f"data.sets.{name} has scale {module.scale}, but scale={self.scale}")
            if name != self.validate_on and isinstance(module, SplitModule) and module.splits and module.val_share:
                log.warning(
                    f"warning: data.sets.{name} holds {module.val_share:g} of its images out, and nobody validates on "
                    f"them: to train on all of them type data.sets.{name}.val_share=0"
                )
        self.name = " + ".join(module.name for module in self.sets.values())
        self.sets[self.validate_on].val_images = self.val_images

    @property
    def test_name(self) -> str:
        return self.sets[self.validate_on].test_name

    @property
    def symmetric(self) -> bool:
        return all(module.symmetric for module in self.sets.values())

    def train_pairs(self) -> list[ImagePair]:
        return [pair for module in self.sets.values() for pair in module.train_pairs()]

    def val_pairs(self) -> list[ImagePair]:
        return self.sets[self.validate_on].val_pairs()

    def test_pairs(self) -> list[ImagePair]:
        return self.sets[self.validate_on].test_pairs()

    def prepare_data(self) -> None:
        """Each set fetches its own."""
        for module in self.sets.values():
            module.prepare_data()

    def make_set(self, part: str) -> Pairs:
        if part != "train":
            return self.sets[self.validate_on].pairs(part)
        return JoinedPairs([module.pairs("train") for module in self.sets.values()])

    def images(self, part: str) -> dict[str, Images]:
        if part != "train":
            return self.sets[self.validate_on].images(part)
        found: dict[str, Images] = {}
        for key, module in self.sets.items():
            for name, images in module.images(part).items():
                found[f"{key}: {name}" if name in found else name] = images  # folders of one name are two sets
        return found
