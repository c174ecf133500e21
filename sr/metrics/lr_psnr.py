"""LR consistency: whether an output, shrunk again, is the LR that it was made from."""

from sr.metrics.metric import Metric
from sr.metrics.psnr import psnr

NOTE = (
    "LR_PSNR: of the 8-bit output, shrunk again by MATLAB's bicubic and rounded, against LR: whole images, RGB. Where "
    "LR was made in another way, a good network is not consistent by it."
)
METRIC = Metric("lr_psnr", psnr, unit="dB", digits=2, of_lr=True, note=NOTE, perfect=100.0)  # as PSNR
