"""The torchmetrics module that averages a protocol's values over images and processes."""

from collections.abc import Sequence

import torch
import torchmetrics
from torch import Tensor

from sr.errors import UserError
from sr.metrics.metric import Metric
from sr.metrics.protocol import DEFAULT, Protocol


class ProtocolMetric(torchmetrics.Metric):
    """Mean over images of every metric under one protocol.

    Sums and the number of images are added over processes, so the result does not depend on how many images
    each process was given. A set that holds an identical pair has an infinite mean PSNR.

    Args:
        protocol: how an output is held against HR.
        metrics: those that the protocol has no value for are left out.

    Example:
        >>> metric = ProtocolMetric(Protocol("y", "Y, shave = scale"))
        >>> hr = torch.full((2, 3, 48, 48), 0.5)
        >>> metric.update(hr + 0.02, hr, scale=4, grey=[False, True])
        >>> metric.compute()
        {'psnr': tensor(35.4733), 'ssim': tensor(0.9994)}
    """

    is_differentiable = False
    full_state_update = False

    sums: Tensor
    count: Tensor

    def __init__(self, protocol: Protocol, metrics: Sequence[Metric] = DEFAULT) -> None:
        super().__init__()
        self.protocol, self.metrics = protocol, [m for m in metrics if protocol.gives(m)]
        # float32: some devices have no float64, and over a thousand images the sum still errs below 1e-4 dB
        self.add_state("sums", torch.zeros(len(self.metrics)), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, sr: Tensor, hr: Tensor, scale: int, grey: bool | Sequence[bool] = False) -> None:
        """Add a batch; arguments as `Protocol.compare`."""
        values = self.protocol.compare(sr, hr, scale, grey, self.metrics)
        self.sums += torch.stack([each.sum().to(self.sums) for each in values.values()])
        self.count += len(sr)

    def compute(self) -> dict[str, Tensor]:
        """Means over all images of all processes, by the names of the metrics."""
        if self.count == 0:
            raise UserError(f"no image was measured (protocol {self.protocol.name}): the data set is empty")
        return {m.name: total / self.count for m, total in zip(self.metrics, self.sums, strict=True)}
