"""LR consistency: the output shrunk again beside the LR that the network was given."""

import pytest
import torch

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.metrics.metric import get_metrics
from sr.metrics.protocol_metric import ProtocolMetric
from sr.metrics.protocols import get_protocol


def test_beside_lr_itself():
    generator = torch.Generator().manual_seed(0)
    hr = torch.randint(0, 256, (2, 3, 48, 60), generator=generator, dtype=torch.uint8)
    lr, metrics = imresize(hr, 1 / 4), get_metrics(["psnr", "lr_psnr"])
    y = get_protocol("y")
    found = y.compare(hr / 255, hr, 4, metrics=metrics, lr=lr / 255)
    assert found["lr_psnr"].isposinf().all()  # HR is consistent
    wrong = (hr + 40).clamp(40, 200)
    error = (imresize(wrong, 1 / 4).double() - lr.double()).square().mean((1, 2, 3))
    found = y.compare(wrong / 255, hr, 4, grey=[False, True], metrics=metrics, lr=lr)
    torch.testing.assert_close(found["lr_psnr"], 10 * torch.log10(255**2 / error))
    assert list(y.compare(wrong / 255, hr, 4, metrics=metrics)) == ["psnr"]  # without LR
    assert list(get_protocol("y_classic").compare(wrong / 255, hr, 4, metrics=metrics, lr=lr)) == ["psnr"]
    averaged = ProtocolMetric(y, metrics)
    with pytest.raises(UserError, match="lr_psnr compares with LR"):
        averaged.update(wrong / 255, hr, 4)
    averaged.update(wrong / 255, hr, 4, lr=lr / 255)
    assert abs(averaged.compute()["lr_psnr"] - float(found["lr_psnr"].mean())) < 1e-4
