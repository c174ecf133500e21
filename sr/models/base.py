"""The one base class: every loop that architectures share (forward contract, training, validation, checkpoint)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.imaging.color import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sr.imaging.resize import imresize
from sr.metrics.metric import ProtocolMetric
from sr.metrics.protocol import Protocol
from sr.precision import full_precision


@dataclass
class Training:
    """What a model is trained with; attached from the recipe, never built by the architecture."""

    loss: nn.Module  # (sr, hr) -> {term: weighted value}
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
    protocol: Protocol  # of the validation figure


class SuperResolver(L.LightningModule):
    """A super-resolution network on RGB images in [0, 1].

    A subclass builds its layers in the constructor and implements `network`; what the paper wants instead of
    RGB in [0, 1] (mean shift, range 0-255, an input enlarged beforehand) happens inside `network`. With
    ``colors=1`` the network sees luma only and the base class carries the chroma by bicubic.

    Args:
        scale: enlargement factor, one of `scales`; several for a network that serves them all (`serves`) and is
            told with each batch which one is meant.
        colors: 3 for a network on RGB, 1 for one on Y (BT.601 studio range, divided by 255).

    Raises:
        UserError: the architecture is not defined for this scale or number of colours.
    """

    scales: ClassVar[tuple[int, ...]] = (2, 3, 4, 8)
    protocols: ClassVar[tuple[str, ...]] = ("y", "rgb")  # under which the papers measure this kind of network
    min_patch: ClassVar[int] = 8  # smallest sensible training patch, LR pixels
    min_size: ClassVar[int] = 1  # smallest LR side that `network` survives; `forward` pads below it

    def __init__(self, scale: int | Sequence[int], colors: int = 3) -> None:
        super().__init__()
        self.serves: tuple[int, ...] = tuple(scale) if isinstance(scale, Sequence) else (scale,)
        if not self.serves or not set(self.serves) <= set(self.scales):
            raise UserError(
                f"{type(self).__name__} has no scale {scale!r}: it is defined for "
                f"{', '.join(map(str, self.scales))}. Type for example scale={self.scales[0]}"
            )
        if colors not in (1, 3):
            raise UserError(f"colors={colors!r}: a network works on 3 colours (RGB) or on 1 (Y)")
        self.colors = colors
        self.batches_seen = 0  # micro-batches trained on: where the data stream goes on after a resume
        self.card: dict[str, Any] = {}  # what a checkpoint tells about itself: plain values only
        self.training_setup: Training | None = None

    # ---- the contract -------------------------------------------------------------------------------------

    def network(self, x: Tensor, scale: int) -> Tensor:
        """The paper's network: (B, colors, h, w) in [0, 1] -> (B, colors, scale*h, scale*w)."""
        raise NotImplementedError(f"{type(self).__name__} must implement network(x, scale)")

    @property
    def scale(self) -> int:
        """The scale of a model that serves one."""
        return self.scale_of(None)

    def scale_of(self, asked: int | None) -> int:
        """The scale to work at: the one asked for, or the only one there is.

        Raises:
            UserError: the model does not serve it, or serves several and none was asked for.
        """
        if asked is None and len(self.serves) == 1:
            return self.serves[0]
        if asked not in self.serves:
            raise UserError(
                f"this {type(self).__name__} serves scale {', '.join(map(str, self.serves))}, asked was {asked}. "
                f"Call it for example with scale={self.serves[0]}"
            )
        return asked

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Super-resolve.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1], any h and w.
            scale: needed only by a model that serves several scales.

        Returns:
            (B, 3, s*h, s*w) RGB, not clamped.

        Raises:
            UserError: see `scale_of`.
        """
        s = self.scale_of(scale)
        if self.colors == 3:
            return self._padded(lr, s)
        ycbcr = rgb_to_ycbcr(lr)
        luma = self._padded(ycbcr[:, :1], s)
        chroma = imresize(ycbcr[:, 1:], s)
        return ycbcr_to_rgb(torch.cat([luma, chroma.to(luma.dtype)], dim=1))

    def _padded(self, x: Tensor, scale: int) -> Tensor:
        """`network`, with inputs below `min_size` padded by repeating the edge and the result cropped."""
        h, w = x.shape[-2:]
        pad_h, pad_w = max(0, self.min_size - h), max(0, self.min_size - w)
        if pad_h or pad_w:
            x = F.pad(x, (0, pad_w, 0, pad_h), mode="replicate")
        return self.network(x, scale)[..., : h * scale, : w * scale]

    def merged(self) -> Self:
        """The form to deploy: a copy in eval mode in which every block with a `merge()` is replaced by it."""
        deployed = copy.deepcopy(self)
        deployed.__dict__.pop("network", None)  # a compiled network belongs to the original's weights
        _merge_children(deployed)
        return deployed.eval()

    def deployed_state(self) -> dict[str, Tensor]:
        """The state without what only training needs (loss networks)."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("loss.")}

    # ---- training -----------------------------------------------------------------------------------------

    def attach(self, setup: Training) -> None:
        """Set, or replace at a new stage, what the model is trained with."""
        self.training_setup = setup
        self.loss = setup.loss
        self.metric = ProtocolMetric(setup.protocol)

    @property
    def setup_or_error(self) -> Training:
        if self.training_setup is None:
            raise UserError("nothing to train with is attached: call attach(Training(...)) first")
        return self.training_setup

    def own_colors(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB -> (B, colors, H, W): what the network sees and the paper's loss compares."""
        return rgb_to_y(image) if self.colors == 1 else image

    def training_pair(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Output and target in the network's own colours."""
        return self._padded(self.own_colors(batch.lr), batch.scale), self.own_colors(batch.hr)

    def training_terms(self, batch: Any, loss: nn.Module) -> dict[str, Tensor]:
        """The weighted terms of `loss` on a batch; overridden where the paper's loss sees more than the output."""
        return loss(*self.training_pair(batch))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.batches_seen += 1
        terms = self.training_terms(batch, self.loss)
        total = torch.stack(list(terms.values())).sum()
        self.log("train/loss", total, prog_bar=True)
        if len(terms) > 1:
            self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        return total

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        protocol, lr = self.setup_or_error.protocol, batch.lr
        if protocol.makes_lr:
            lr = protocol.lr((batch.hr * 255).round().to(torch.uint8), batch.scale, grey=batch.grey[0]).to(lr)
        with full_precision(lr.device):
            output = self(lr, batch.scale)
        self.metric.update(output, batch.hr, scale=batch.scale, grey=batch.grey)
        return output

    def on_validation_epoch_end(self) -> None:
        name = self.setup_or_error.protocol.name
        figures = self.metric.compute()
        self.metric.reset()
        self.log(f"val/psnr_{name}", figures["psnr"], prog_bar=True, sync_dist=False)
        self.log(f"val/ssim_{name}", figures["ssim"], sync_dist=False)

    def trained_parameters(self) -> list[nn.Parameter]:
        """Every parameter of the network that learns; never those of a loss network."""
        found = [p for n, p in self.named_parameters() if p.requires_grad and not n.startswith("loss.")]
        if not found:
            raise UserError(
                f"{type(self).__name__} has no parameters to train. Measure it instead: "
                "python evaluate.py model=bicubic data=[bundled]"
            )
        return found

    def configure_optimizers(self) -> Any:
        setup = self.setup_or_error
        optimizer = setup.optimizer(self.trained_parameters())
        scheduler = setup.scheduler(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # ---- checkpoint ---------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sr"] = {**self.card, "batches_seen": self.batches_seen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches_seen = int(checkpoint["sr"]["batches_seen"])


def _merge_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if callable(merge := getattr(child, "merge", None)):
            setattr(module, name, merge())
        else:
            _merge_children(child)
