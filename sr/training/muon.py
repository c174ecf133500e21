"""Muon, which torch has for matrices alone and in half precision, for the kernels of convolutions."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Muon for kernels, Adam for everything else, under one learning rate that schedules change.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
    (https://kellerjordan.github.io/posts/muon). A kernel is a matrix W (a row for each output
    channel, a column for all that each of them weighs). With its gradient G

        M = momentum M + (1 - momentum) G;   U = momentum M + (1 - momentum) G (Nesterov)
        W = W - kernel_factor lr sqrt(max(1, rows / columns)) O(U)

    O is five steps of a Newton-Schulz iteration that bring all singular values of U near 1, in float32, for all
    kernels of one shape together. Whatever is no such matrix (biases, slopes, norms, one weight a channel) is
    Adam's, at the rate itself: a recipe's rate for Adam is as gentle here.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: Adam's.
        kernel_factor: of kernels' rate; each singular value of one moves by about `kernel_factor * lr` in a step.
        momentum: of kernels.
        betas: Adam's.
        eps: Adam's.
        weight_decay: decoupled: everything shrinks by the share rate * weight_decay in a step.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        kernel_factor: float = 10.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        own = {"kernel_factor": kernel_factor, "momentum": momentum, "betas": betas, "eps": eps}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **own})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient; the closure's result, where one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            self._step_kernels([p for p in learning if is_kernel(p)], group)
            self._step_rest([p for p in learning if not is_kernel(p)], group)
        return loss

    def _step_kernels(self, kernels: list[Tensor], group: dict[str, Any]) -> None:
        if not kernels:
            return
        for kernel in kernels:
            if not self.state[kernel]:
                self.state[kernel]["momentum"] = torch.zeros_like(kernel)
        gradients = _gradients(kernels)
        moving = [self.state[kernel]["momentum"] for kernel in kernels]
        torch._foreach_lerp_(moving, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, moving, group["momentum"])
        lr = group["lr"] * group["kernel_factor"]
        if group["weight_decay"]:
            torch._foreach_mul_(kernels, 1 - lr * group["weight_decay"])
        for (rows, columns, _), alike in _by_shape(zip(kernels, ahead, strict=True)):
            stacked = torch.stack([update.reshape(rows, columns) for _, update in alike]).float()
            rate = lr * math.sqrt(max(1.0, rows / columns))
            for (kernel, _), direction in zip(alike, orthogonalised(stacked), strict=True):
                kernel.add_(direction.view(kernel.shape).to(kernel), alpha=-rate)

    def _step_rest(self, rest: list[Tensor], group: dict[str, Any]) -> None:
        if not rest:
            return
        for parameter in rest:
            if not self.state[parameter]:
                zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter] |= {"step": torch.tensor(0.0), **zeros}
        states = [self.state[parameter] for parameter in rest]
        adam(
            rest,
            _gradients(rest),
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
            decoupled_weight_decay=True,
        )


def is_kernel(parameter: Tensor) -> bool:
    """Whether each output channel weighs several values: a matrix, a convolution's weight; not a factor a channel."""
    return parameter.ndim > 1 and parameter.numel() > parameter.shape[0]


def orthogonalised(matrices: Tensor) -> Tensor:
    """(N, rows, columns) -> the same with singular values of about 0.7 to 1.2, where they were not nearly 0."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


def _gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _by_shape(
    pairs: Iterable[tuple[Tensor, Tensor]],
) -> Iterable[tuple[tuple[int, int, str], list[tuple[Tensor, Tensor]]]]:
    """Kernels with their updates, those of one matrix shape and one device together."""

    def key(pair: tuple[Tensor, Tensor]) -> tuple[int, int, str]:
        kernel = pair[0]
        return kernel.shape[0], kernel.numel() // kernel.shape[0], str(kernel.device)

    return [(shape, list(alike)) for shape, alike in groupby(sorted(pairs, key=key), key)]
