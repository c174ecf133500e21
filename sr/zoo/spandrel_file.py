"""A network that the library spandrel knows as one of ours: measured, timed and used; weights only, no code of a file.

spandrel (https://github.com/chaiNNer-org/spandrel, MIT; the extra `spandrel`) tells an architecture and its size by the
keys and shapes of a state dict, and says what its networks take: RGB or luma in [0, 1], sides of a multiple.
"""

import copy
import importlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.errors import UserError, installing, reason, told_once
from sr.layers.torch_file import refuse_unusable
from sr.memory import limited_to
from sr.models.base import SuperResolver
from sr.runs.construct import limited
from sr.zoo.onnx_file import MEMORY

log = logging.getLogger(__name__)
LIBRARY = "spandrel"
HINT = f"More architectures are read with spandrel: {installing('spandrel')}"
_declared: dict[str, torch.library.Library] = {}  # by name of the operator


def library() -> Any:
    """spandrel, imported where it is used; None where it is not installed, or does not import, which is logged.

    It takes a few functions on images from torchvision, which does not import beside a torch of another build: it
    describes operators that only a matching one has. Those are declared, without any computation, until it does.
    """
    while True:
        try:
            return importlib.import_module(LIBRARY)
        except Exception as error:  # torchvision and torch have many reasons not to fit each other
            if isinstance(error, ModuleNotFoundError) and error.name == LIBRARY:
                return None
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing[1] in _declared:
                told_once(log, logging.WARNING, f"spandrel is installed, but does not import: {reason(error)}")
                return None
            _declared[missing[1]] = torch.library.Library("torchvision", "FRAGMENT")
            _declared[missing[1]].define(f"{missing[1]}(Tensor x) -> Tensor")


class SpandrelResolver(SuperResolver):
    """A network of spandrel's.

    Args:
        descriptor: spandrel's of a network on images.
        path: of its file, for messages.

    Raises:
        UserError: it is for something else than enlarging images, or on other colours.
    """

    supported_scales = tuple(range(1, 17))

    def __init__(self, descriptor: Any, path: Path) -> None:
        self.architecture = str(descriptor.architecture.name)
        if getattr(descriptor, "_call_fn", None) is None or descriptor.purpose not in ("SR", "FaceSR", "Restoration"):
            raise UserError(f"{path} is {self.architecture} for {descriptor.purpose}, which enlarges no images")
        taken, made = descriptor.input_channels, descriptor.output_channels
        if taken != made or taken not in (1, 3):
            raise UserError(
                f"{path} is {self.architecture} from {taken} channels to {made}: wanted are 3 (RGB) or 1 (Y)"
            )
        super().__init__(descriptor.scale, taken)
        self.net, self.path = descriptor.model, path
        self._call, self._needs = descriptor._call_fn, descriptor.size_requirements

    def network(self, x: Tensor, scale: int) -> Tensor:
        """See `SuperResolver.network`; sides are padded to what the network takes by mirroring, as spandrel does."""
        h, w = x.shape[-2:]
        right, below = self._needs.get_padding(w, h)
        if right or below:
            mirrored = min(right, w - 1), min(below, h - 1)  # a picture has no more to mirror; then its border goes on
            x = F.pad(x, (0, mirrored[0], 0, mirrored[1]), mode="reflect")
            x = F.pad(x, (0, right - mirrored[0], 0, below - mirrored[1]), mode="replicate")
        return self._call(self.net, x)[..., : h * scale, : w * scale]

    def merged(self) -> Self:
        """Itself in eval mode: what may be merged in it only its own code knows."""
        return copy.deepcopy(self).eval()


def resolver(path: Path, states: Iterable[Mapping[str, Any]]) -> SpandrelResolver | None:
    """A file's network as spandrel knows it; None where it is not installed or does not know it.

    Args:
        path: of the file.
        states: its state dict, as it is and without what trainers put around it.

    Raises:
        UserError: it is damaged, or of a network that does not enlarge.
    """
    spandrel = library()
    if spandrel is None:
        return None
    for state in states:
        tensors = {k: v for k, v in spandrel.canonicalize_state_dict(dict(state)).items() if isinstance(v, Tensor)}
        refuse_unusable(tensors, tensors, path)
        try:
            with limited(path, tensors), limited_to(MEMORY):  # masks are made of sizes that a tensor tells
                return SpandrelResolver(spandrel.ModelLoader().load_from_state_dict(tensors), path)
        except spandrel.UnsupportedModelError:
            continue
        except UserError:
            raise
        except Exception as error:  # keys that look like an architecture's, and are not
            log.info(f"note: spandrel {spandrel.__version__} does not read {path}: {reason(error)}")
    return None
