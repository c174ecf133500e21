"""LPIPS, the learned perceptual distance, for users who have its weights; nothing is downloaded."""

import pickle
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError, reason
from sr.metrics.metric import Metric

FILE = "alexnet-owt-7be5be79.pth"
ADDRESS = f"https://download.pytorch.org/models/{FILE}"
# Of AlexNet's convolutions in torchvision's numbering: number, width, kernel, stride, padding; pooled before it or not.
LAYERS = ((0, 64, 11, 4, 2, False), (3, 192, 5, 1, 2, True), (6, 384, 3, 1, 1, True), (8, 256, 3, 1, 1, False),
          (10, 256, 3, 1, 1, False))  # fmt: skip
SMALLEST = 31  # pixels a side: below it the pooling has nothing left


def find_alexnet(weights: str | Path | None = None) -> Path | None:
    """Where AlexNet's weights are: the given path, else torchvision's place; None where no path is given and none is.

    Raises:
        UserError: the given path is no file.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE if weights is None else Path(weights).expanduser()
    if weights is not None and not path.is_file():
        raise UserError(f"lpips={weights}: there is no such file. It is torchvision's {FILE}, from {ADDRESS} (233 MB)")
    return path if path.is_file() else None


def _read(file: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{file} is no weight file ({reason(error)}); LPIPS needs {FILE} from {ADDRESS}") from error
    before = 3
    for number, width, kernel, *_ in LAYERS:
        value = state.get(f"features.{number}.weight") if isinstance(state, dict) else None
        if not isinstance(value, Tensor) or value.shape != (width, before, kernel, kernel):
            raise UserError(f"{file} does not hold AlexNet's weights (features.{number}): wanted {FILE} from {ADDRESS}")
        before = width
    return state


def _read_heads() -> list[Tensor]:
    """The (1, C, 1, 1) weights of LPIPS 0.1 for AlexNet's five layers; torchmetrics carries its authors' file."""
    spec = find_spec("torchmetrics")
    file = Path(str(spec.origin)).parent / "functional/image/lpips_models/alex.pth" if spec else Path("torchmetrics")
    if not file.is_file():
        raise UserError(f"LPIPS's own weights are missing ({file}): pip install --force-reinstall torchmetrics")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [state[f"lin{n}.model.1.weight"].float() for n in range(len(LAYERS))]


class LPIPS(nn.Module):
    """Distance of pictures in the features of AlexNet, version 0.1.

    Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, CVPR 2018
    (https://arxiv.org/abs/1801.03924), equation 1.

    Args:
        weights: torchvision's file of AlexNet trained on ImageNet.
    """

    shift: Tensor
    spread: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = _read(weights)
        for n, ((number, *_), head) in enumerate(zip(LAYERS, _read_heads(), strict=True)):
            self.register_buffer(f"weight{n}", state[f"features.{number}.weight"].float())
            self.register_buffer(f"bias{n}", state[f"features.{number}.bias"].float())
            self.register_buffer(f"head{n}", head)
        # The authors' normalisation of RGB in [-1, 1]
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def _features(self, image: Tensor) -> list[Tensor]:
        x, found = (image * 2 - 1 - self.shift) / self.spread, []
        for n, (_, _, _, stride, padding, pooled) in enumerate(LAYERS):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            x = F.relu(F.conv2d(x, self.get_buffer(f"weight{n}"), self.get_buffer(f"bias{n}"), stride, padding))
            found.append(x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt())
        return found

    @torch.inference_mode()
    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distance of each pair: 0 for equal pictures.

        Args:
            sr: (B, 3, H, W) RGB, uint8, SMALLEST pixels a side or more.
            hr: the same.

        Returns:
            (B,).
        """
        self.to(sr.device)
        pairs = zip(self._features(sr.float() / 255), self._features(hr.float() / 255), strict=True)
        distances = [
            (self.get_buffer(f"head{n}") * (x - y).square()).sum(1).mean((-2, -1)) for n, (x, y) in enumerate(pairs)
        ]
        return torch.stack(distances).sum(0)


_network = cache(LPIPS)  # of one file, read once


def lpips(sr: Tensor, hr: Tensor) -> Tensor:
    """`LPIPS` with the weights that stand where torchvision keeps them."""
    if (file := find_alexnet()) is None:
        raise UserError(f"metrics=[lpips] needs {FILE} in {Path(torch.hub.get_dir()) / 'checkpoints'}, from {ADDRESS}")
    return _network(file)(sr, hr)


def lpips_of(weights: Path) -> Metric:
    """The metric with AlexNet's weights from a file."""
    return replace(METRIC, function=_network(weights))


NOTE = "LPIPS: version 0.1 on AlexNet, of 8-bit RGB; smaller is better."
METRIC = Metric("lpips", lpips, better=-1, rgb=True, smallest=SMALLEST, note=NOTE)
