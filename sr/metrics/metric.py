"""The torchmetrics module that averages a protocol's figures over images and processes."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from sr.errors import UserError
from sr.metrics.protocol import Protocol


class ProtocolMetric(Metric):
    """Mean over images of PSNR and SSIM under one protocol.

    Sums and the number of images are added over processes, so the result does not depend on how many images
    each process was given. A set that holds an identical pair has an infinite mean PSNR.

    Example:
        >>> metric = ProtocolMetric(Protocol("y", "Y, shave = scale"))
        >>> hr = torch.full((2, 3, 48, 48), 0.5)
        >>> metric.update(hr + 0.02, hr, scale=4, grey=[False, True])
        >>> metric.compute()
        {'psnr': tensor(35.4733), 'ssim': tensor(0.9994)}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    psnr_sum: Tensor
    ssim_sum: Tensor
    count: Tensor

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        # float32: some devices have no float64, and over a thousand images the sum still errs below 1e-4 dB
        self.add_state("psnr_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("ssim_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, sr: Tensor, hr: Tensor, scale: int, grey: bool | Sequence[bool] = False) -> None:
        """Add a batch; arguments as `Protocol.compare`."""
        psnr, ssim = self.protocol.compare(sr, hr, scale, grey)
        self.psnr_sum += psnr.sum().to(self.psnr_sum)
        self.ssim_sum += ssim.sum().to(self.ssim_sum)
        self.count += len(psnr)

    def compute(self) -> dict[str, Tensor]:
        """{"psnr": dB, "ssim": at most 1}, means over all images of all processes."""
        if self.count == 0:
            raise UserError(f"no image was measured (protocol {self.protocol.name}): the data set is empty")
        return {"psnr": self.psnr_sum / self.count, "ssim": self.ssim_sum / self.count}
