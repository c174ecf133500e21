"""Gradient clipping whose bound follows the learning rate."""

import lightning.pytorch as L
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.nn.utils import clip_grad_value_
from torch.optim import Optimizer

from sr.errors import UserError


class AdjustableClipping(L.Callback):
    """Clips every gradient value to [-theta / lr, theta / lr] with the present rate of its parameter group.

    Kim, Lee and Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional Networks" (VDSR), CVPR 2016
    (https://arxiv.org/abs/1511.04587), section 3.2: so that a step of plain SGD never moves a weight by more than
    theta, and high learning rates can be used. The bound holds for the gradient of a whole optimizer step,
    accumulated and, under 16-bit precision, unscaled.

    Args:
        theta: greatest change of a weight in one step of SGD without momentum.

    Raises:
        UserError: theta is not positive, or the optimizer unscales 16-bit gradients only within its step.
    """

    def __init__(self, theta: float) -> None:
        if not theta > 0:
            raise UserError(
                f"callbacks.adjustable_clipping.theta={theta}: must be above 0 (conf/recipe/vdsr.yaml: 1e-4)"
            )
        self.theta = theta

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        # Lightning calls this after the last backward pass of a step, and after it has unscaled the gradients.
        precision = trainer.precision_plugin
        scaled = isinstance(precision, MixedPrecision) and precision.scaler is not None
        if scaled and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise UserError(
                f"callbacks.adjustable_clipping: a fused {type(optimizer).__name__} leaves 16-bit gradients scaled "
                "until its own step. Type optimizer.fused=false, or trainer.precision=bf16-mixed"
            )
        for group in optimizer.param_groups:
            if isinstance(rate := group["lr"], Tensor):  # on a GPU, which is not waited for; at 0 the bound is infinite
                bound = self.theta / rate
                for gradient in (p.grad for p in group["params"] if p.grad is not None):
                    gradient.clamp_(-bound, bound)
            elif rate > 0:  # no bound at 0, where nothing moves anyway
                clip_grad_value_(group["params"], self.theta / rate)
