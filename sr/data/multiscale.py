"""One data set at several scales, for one network that is trained on all of them."""

from collections.abc import Mapping

from torch.utils.data import ConcatDataset

from sr.data.batch import Batch
from sr.data.images import Images
from sr.data.joined import JoinedPairs
from sr.data.loaders import Loaders
from sr.data.module import SRDataModule
from sr.data.pairset import Pairs
from sr.data.sampling import MixedScales, WholeImages
from sr.errors import UserError


class MultiScale(Loaders):
    """Trains on one random scale each optimizer step, and validates on every image at every scale.

    "One random scale a minibatch" is Lim et al., "Enhanced Deep Residual Networks for Single Image
    Super-Resolution", CVPRW 2017 (https://arxiv.org/abs/1707.02921), section 4.1. Kim et al., "Accurate Image
    Super-Resolution Using Very Deep Convolutional Networks", CVPR 2016 (https://arxiv.org/abs/1511.04587), mix the
    scales of VDSR within a minibatch; here the mixture is over steps, in the same proportions.

    Decoded HR is cached once for all scales. The modules' own patch sizes are used; their batch size must be the same
    and is this module's from then on.

    Args:
        modules: the same files by scale, each module with its own patch size in LR pixels.

    Raises:
        UserError: the modules do not belong together.
    """

    def __init__(self, modules: Mapping[int, SRDataModule]) -> None:
        super().__init__()
        if not modules:
            raise UserError("no scale to train on: type for example scale=[2,3,4]")
        self.modules = dict(sorted(modules.items()))
        first = self.modules[min(self.modules)]
        for scale, module in self.modules.items():
            if module.scale != scale:
                raise UserError(f"the data set for scale {scale} is made for scale {module.scale}")
            for key in ("batch_size", "seed"):
                if (own := getattr(module, key)) != (other := getattr(first, key)):
                    raise UserError(f"{key} is {own} at scale {scale}, but {other} at scale {first.scale}")
        self.name, self.num_workers, self.device = first.name, first.num_workers, first.device
        self.batch_size, self.seed = first.batch_size, first.seed
        self.check_leaks = any(module.check_leaks for module in self.modules.values())

    @property
    def scales(self) -> tuple[int, ...]:
        return tuple(self.modules)

    @property
    def symmetric(self) -> bool:
        """Whether LR has no preferred direction at any scale."""
        return all(module.symmetric for module in self.modules.values())

    def has(self, part: str) -> bool:
        """Whether the set offers "train", "val" or "test" images, at every scale."""
        return all(module.has(part) for module in self.modules.values())

    def prepare_data(self) -> None:
        for module in self.modules.values():
            module.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Check and open the parts that the stage needs, at every scale."""
        for scale, module in self.modules.items():
            try:
                module.setup(stage)
            except UserError as error:
                raise UserError(f"at scale {scale}: {error}") from error

    def pairs(self, part: str) -> Pairs:
        """The opened pairs of "train", "val" or "test", one scale after the other."""
        return JoinedPairs([module.pairs(part) for module in self.modules.values()])

    def images(self, part: str) -> dict[str, Images]:
        """HR collections by name; files shared by the scales come once."""
        found: dict[str, Images] = {}
        for scale, module in self.modules.items():
            for name, images in module.images(part).items():
                if all(images.paths != other.paths for other in found.values()):
                    found[f"{name} x{scale}"] = images
        return found

    def patches(self) -> MixedScales:
        patches = [module.patches() for module in self.modules.values()]
        return MixedScales(patches, batch_size=self.batch_size, seed=self.seed)

    def whole(self, part: str) -> ConcatDataset[Batch]:
        return ConcatDataset([WholeImages(module.pairs(part), scale) for scale, module in self.modules.items()])

    def sample_batch(self, images: int) -> Batch:
        """The first `images` training samples (uint8) of the most expensive scale.

        That is the one with the largest LR patch, and of equal ones the one with the largest HR.
        """
        costly = max(self.modules.values(), key=lambda module: (module.patch_size, module.scale))
        return costly.sample_batch(images)

    def describe(self) -> str:
        *some, last = (f"x{scale}" for scale in self.scales)
        at = f"{', '.join(some)} and {last}" if some else last
        return f"{next(iter(self.modules.values())).describe()}, each at {at}"
