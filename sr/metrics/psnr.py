"""Peak signal-to-noise ratio, one figure per image."""

import torch
from torch import Tensor

from sr.metrics.metric import Metric


def psnr(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """10 log10(range^2 / mean squared error) of each image, in decibels.

    The squared error is averaged over all pixels and channels of an image, never over images: a mean of
    the returned figures is what papers call PSNR of a set.

    Args:
        a: images (B, C, H, W), values in [0, data_range]; computed in float64.
        b: as `a`, of the same shape.
        data_range: the value of white.

    Returns:
        (B,) float64; inf where the two images are identical.

    Example:
        >>> import sr, torch
        >>> hr = torch.full((1, 3, 32, 32), 200.0)
        >>> sr.psnr(hr + 5, hr)
        tensor([34.1514], dtype=torch.float64)
    """
    if a.shape != b.shape:
        raise ValueError(f"psnr compares images of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    # Channel by channel: less memory at once is faster memory.
    pairs = zip(a.split(1, 1), b.split(1, 1), strict=True)
    norms = [torch.linalg.vector_norm((x.double() - y.double()).flatten(1), dim=1) for x, y in pairs]
    return 20 * torch.log10(data_range * a[0].numel() ** 0.5 / torch.stack(norms).norm(dim=0))


METRIC = Metric("psnr", psnr, unit="dB", digits=2, perfect=100.0)  # the field's stand-in for infinity
