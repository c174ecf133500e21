"""A loss whose target is sharpened."""

from torch import Tensor, nn

from sr.imaging.sharpen import unsharp


class Sharpened(nn.Module):
    """loss(sr, sharpened hr), as Real-ESRGAN's pixel and perceptual losses see HR (its discriminator does not).

    Args:
        loss: (sr, hr) -> scalar.

    Shapes: (B, C, H, W) twice, in [0, 1] -> scalar.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return self.loss(sr, unsharp(hr))
