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
    each process was given. An image whose value is infinite (PSNR of an output identical to HR) or no number is left
    out.

    Args:
        protocol: how an output is held against HR.
        metrics: those that the protocol has no value for are left out.

    Example:
        >>> metric = ProtocolMetric(Protocol("y", "Y, shave = scale"))
        >>> hr = torch.full((2, 3, 48, 48), 0.5)
        >>> metric.update(hr + 0.02, hr, scale=4, grey=[False, True])
        >>> metric.compute()
        {'psnr': 35.473..., 'ssim': 0.999...}

    Attributes:
        remarks: of the last `compute`: which metrics' means leave images out, and how many.
    """

    is_differentiable = False
    full_state_update = False

    sums: Tensor
    finite: Tensor
    infinite: Tensor
    count: Tensor

    def __init__(self, protocol: Protocol, metrics: Sequence[Metric] = DEFAULT) -> None:
        super().__init__()
        self.protocol, self.metrics = protocol, [m for m in metrics if protocol.gives(m)]
        self.remarks: list[str] = []
        # float32: some devices have no float64, and over a thousand images the sum still errs below 1e-4 dB
        self.add_state("sums", torch.zeros(len(self.metrics)), dist_reduce_fx="sum")
        for name in ("finite", "infinite"):  # images with such a value, for each metric
            self.add_state(name, torch.zeros(len(self.metrics), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(
        self, sr: Tensor, hr: Tensor, scale: int, grey: bool | Sequence[bool] = False, lr: Tensor | None = None
    ) -> None:
        """Add a batch; arguments as `Protocol.compare`, or clips (B, T, 3, H, W), of which each counts as one.

        Raises:
            UserError: a metric needs `lr`, and there is none.
        """
        if lr is None and (without := [m.name for m in self.metrics if m.of_lr]):
            raise UserError(f"{', '.join(without)} compares with LR, which was not given: update(..., lr=...)")
        if sr.ndim == 5:
            scored = self.protocol.scored(sr.shape[1])
            sr, hr = (clips[:, scored.start : scored.stop] for clips in (sr, hr))
            lr = None if lr is None else lr[:, scored.start : scored.stop].flatten(0, 1)
        shape = sr.shape[:-3]
        if sr.ndim == 5:
            flags = [grey] * len(sr) if isinstance(grey, bool) else grey
            sr, hr, grey = sr.flatten(0, 1), hr.flatten(0, 1), [flag for flag in flags for _ in range(shape[1])]
        found = self.protocol.compare(sr, hr, scale, grey, self.metrics, lr)
        values = torch.stack(list(found.values())).to(self.sums)  # (metrics, B)
        if len(shape) == 2:
            values = _of_clips(values.unflatten(1, shape))
        self.sums += values.where(values.isfinite(), values.new_zeros(())).sum(1)
        self.finite += values.isfinite().sum(1)
        self.infinite += values.isposinf().sum(1)
        self.count += shape[0]

    def compute(self) -> dict[str, float]:
        """Means over the images of all processes, by the names of the metrics that have one (see `Metric.mean`)."""
        if self.count == 0:
            raise UserError(f"no image was measured (protocol {self.protocol.name}): the data set is empty")
        images, means, self.remarks = int(self.count), {}, []
        counts = zip(self.metrics, self.sums.tolist(), self.finite.tolist(), self.infinite.tolist(), strict=True)
        for metric, total, finite, infinite in counts:
            if (mean := metric.mean(total, finite, infinite, images)) is not None:
                means[metric.name] = mean
            if remark := metric.remark(images - finite, images):
                self.remarks.append(remark)
        return means


def _of_clips(values: Tensor) -> Tensor:
    """(metrics, B, T) -> (metrics, B): means over finite frames; where none is, what the first has."""
    finite = values.isfinite()
    means = values.where(finite, values.new_zeros(())).sum(2) / finite.sum(2)
    return means.where(finite.any(2), values[..., 0])
