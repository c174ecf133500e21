"""The one base class: every loop that architectures share (forward contract, training, validation, checkpoint)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.imaging.color import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sr.imaging.resize import imresize
from sr.metrics.metric import ProtocolMetric
from sr.models.training import Training
from sr.precision import full_precision

__all__ = ["SuperResolver", "Training"]


class SuperResolver(L.LightningModule):
    """A super-resolution network on RGB images in [0, 1].

    A subclass builds its layers in the constructor and implements `network`; what the paper wants instead of
    RGB in [0, 1] (mean shift, range 0-255, an input enlarged beforehand) happens inside `network`. With
    ``colors=1`` the network sees luma only and the base class carries the chroma by bicubic.

    Args:
        scale: enlargement factor, one of `supported_scales`; several for a network that serves them all
            (`scales`) and is told with each batch which one is meant.
        colors: 3 for a network on RGB, 1 for one on Y (BT.601 studio range, divided by 255).

    Raises:
        UserError: the architecture is not defined for this scale or number of colours.
    """

    supported_scales: ClassVar[tuple[int, ...]] = (2, 3, 4, 8)
    protocols: ClassVar[tuple[str, ...]] = ("y", "rgb")  # under which the papers measure this kind of network
    min_patch: ClassVar[int] = 8  # smallest sensible training patch, LR pixels
    min_size: ClassVar[int] = 1  # smallest LR side that `network` survives; `forward` pads below it

    def __init__(self, scale: int | Sequence[int], colors: int = 3) -> None:
        super().__init__()
        self.scales: tuple[int, ...] = tuple(scale) if isinstance(scale, Sequence) else (scale,)
        if not self.scales or not set(self.scales) <= set(self.supported_scales):
            raise UserError(
                f"{type(self).__name__} has no scale {scale!r}: it is defined for "
                f"{', '.join(map(str, self.supported_scales))}. Type for example scale={self.supported_scales[0]}"
            )
        if colors not in (1, 3):
            raise UserError(f"colors={colors!r}: a network works on 3 colours (RGB) or on 1 (Y)")
        self.colors = colors
        self.batches_seen = 0  # micro-batches trained on: where the data stream goes on after a resume
        self.metadata: dict[str, Any] = {}  # what a checkpoint tells about itself: plain values only
        self.training_setup: Training | None = None
        self.kept: list[tuple[dict[str, Any], dict[str, Any] | None]] | None = None  # see `on_fit_start`
        self._frozen: set[str] = set()  # parameters that the present stage keeps from learning

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
        if asked is None and len(self.scales) == 1:
            return self.scales[0]
        if asked not in self.scales:
            raise UserError(
                f"this {type(self).__name__} serves scale {', '.join(map(str, self.scales))}, asked was {asked}. "
                f"Call it for example with scale={self.scales[0]}"
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
        # Without the loss, whose networks may be larger than the model.
        deployed = copy.deepcopy(
            self, {id(self.loss): None} if isinstance(getattr(self, "loss", None), nn.Module) else {}
        )
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
        self.metrics = nn.ModuleDict({f"x{s}": ProtocolMetric(setup.protocol) for s in self.scales})
        self.automatic_optimization = self.adversary is None
        self._freeze(setup)

    def _freeze(self, setup: Training) -> None:
        self.train()
        parameters = dict(self.named_parameters())
        for name in self._frozen:
            parameters[name].requires_grad_(True)
        self._frozen = set()
        learnable = self.learnable()
        if not setup.frozen and setup.trained is None:
            return
        self._frozen = learnable.keys() - setup.learning(learnable)
        for name in self._frozen:
            parameters[name].requires_grad_(False)
        for module in self.modules():
            # A frozen part's batch statistics stay as they are too.
            if any(True for _ in module.parameters()) and not any(p.requires_grad for p in module.parameters()):
                module.eval()

    @property
    def setup_or_error(self) -> Training:
        if self.training_setup is None:
            raise UserError("nothing to train with is attached: call attach(Training(...)) first")
        return self.training_setup

    @property
    def adversary(self) -> Any:
        """The adversarial term of the loss (sr.losses.Adversarial), or None."""
        return getattr(self.loss, "adversary", None)

    def own_colors(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB -> (B, colors, H, W): what the network sees and the paper's loss compares."""
        return rgb_to_y(image) if self.colors == 1 else image

    def training_pair(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Output and target in the network's own colours."""
        return self._padded(self.own_colors(batch.lr), batch.scale), self.own_colors(batch.hr)

    def training_terms(self, batch: Any, loss: nn.Module) -> dict[str, Tensor]:
        """The weighted terms of `loss` on a batch; overridden where the paper's loss sees more than the output."""
        return loss(*self.training_pair(batch), self.own_colors(batch.lr))

    def updates(self, batch: Any) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """The updates that one batch makes, in order: (number of the optimizer, loss terms to minimise by it).

        Beside an adversary the discriminator (optimizer 1) goes first, then the network (optimizer 0) against the
        updated discriminator, on the same output, once each (Goodfellow et al., 2014, algorithm 1 with k = 1).
        """
        if self.adversary is None:
            yield 0, self.training_terms(batch, self.loss)
            return
        sr, hr = self.training_pair(batch)
        yield 1, {"discriminator": self.adversary.discriminator_loss(sr, hr)}
        yield 0, self.loss(sr, hr, self.own_colors(batch.lr))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.batches_seen += 1
        if not self.automatic_optimization:
            return self._alternate(batch)
        ((_, terms),) = self.updates(batch)
        return self._logged(terms)

    def _logged(self, terms: dict[str, Tensor]) -> Tensor:
        """The sum of the network's loss terms."""
        total = torch.stack(list(terms.values())).sum()
        self.log("train/loss", total, prog_bar=True)
        if len(terms) > 1:
            self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        if "stage" in self.metadata:
            self.log("stage", float(self.metadata["stage"]["number"]))
        return total

    def _alternate(self, batch: Any) -> Tensor:
        """Both players' updates; of several micro-batches the last one takes the steps."""
        setup, optimizers = self.setup_or_error, self.optimizers()
        step_now = self.batches_seen % setup.accumulate == 0
        total = batch.hr.new_zeros(())
        for player, terms in self.updates(batch):
            if player == 0:
                total = self._logged(terms)
            else:
                self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
            self.manual_backward(torch.stack(list(terms.values())).sum() / setup.accumulate)
            if not step_now:
                continue
            optimizer: Any = optimizers[player]  # type: ignore[index]
            if setup.clip is not None:
                self.clip_gradients(optimizer, gradient_clip_val=setup.clip, gradient_clip_algorithm="norm")
            if player != 0:
                # Lightning would count this as a step of the run, which is one of the network's.
                optimizer._on_before_step = optimizer._on_after_step = _nothing
            optimizer.step()
            optimizer.zero_grad()
        if step_now:
            for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
                scheduler.step()
        return total.detach()

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        protocol, lr = self.setup_or_error.protocol, batch.lr
        if protocol.defines_lr:
            lr = protocol.lr((batch.hr * 255).round().to(torch.uint8), batch.scale, grey=batch.grey[0]).to(lr)
        with full_precision(lr.device):
            output = self(lr, batch.scale)
        self._metric(batch.scale).update(output, batch.hr, scale=batch.scale, grey=batch.grey)
        return output

    def _metric(self, scale: int) -> ProtocolMetric:
        metric = self.metrics[f"x{scale}"]
        assert isinstance(metric, ProtocolMetric)
        return metric

    def on_validation_epoch_end(self) -> None:
        """Log the mean over images of each scale, and over the scales where there are several."""
        name = self.setup_or_error.protocol.name
        found = {}
        for scale in self.scales:
            metric = self._metric(scale)
            # Every process must take part, so the choice is made by what all of them have: the sum of images.
            if int(self.trainer.strategy.reduce(metric.count.clone().float(), reduce_op="sum")):
                found[scale] = metric.compute()
            metric.reset()
        for kind in ("psnr", "ssim"):
            mean = torch.stack([figures[kind] for figures in found.values()]).mean()
            # The same on all processes; sync_dist only spares a warning of Lightning's.
            self.log(f"val/{kind}_{name}", mean, prog_bar=kind == "psnr", sync_dist=True)
            if len(found) > 1:
                each = {f"val/x{s}/{kind}_{name}": figures[kind] for s, figures in found.items()}
                self.log_dict(each, sync_dist=True)

    def learnable(self) -> dict[str, nn.Parameter]:
        """Every parameter of the network that learns in some stage, by name; never those of a loss network."""
        found = {
            n: p
            for n, p in self.named_parameters()
            if (p.requires_grad or n in self._frozen) and not n.startswith("loss.")
        }
        if not found:
            raise UserError(
                f"{type(self).__name__} has no parameters to train. Measure it instead: "
                "python evaluate.py model=bicubic data=[bundled]"
            )
        return found

    def trained_parameters(self) -> list[nn.Parameter]:
        """Those that learn in the present stage."""
        return [p for n, p in self.learnable().items() if n not in self._frozen]

    def build_optimizers(self) -> list[torch.optim.Optimizer]:
        """The network's, then the discriminator's if there is one.

        Frozen parameters are among the network's, without gradients, so that the optimizer's state fits a later stage.
        """
        setup = self.setup_or_error
        built = [setup.optimizer(setup.grouped(self.learnable()))]
        if self.adversary is not None:
            built.append(self.adversary.optimizer(self.adversary.discriminator.parameters()))
        return built

    def configure_optimizers(self) -> Any:
        optimizers = self.build_optimizers()
        schedules = [self.setup_or_error.scheduler] + ([] if self.adversary is None else [self.adversary.scheduler])
        return [
            {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule(optimizer), "interval": "step"}}
            for optimizer, schedule in zip(optimizers, schedules, strict=True)
        ]

    def on_fit_start(self) -> None:
        """Go on with a former stage's optimizers (`kept`: state of each, and of its schedule or None to begin it)."""
        if self.kept is None:
            return
        for optimizer, config, (state, schedule) in zip(
            self.trainer.optimizers, self.trainer.lr_scheduler_configs, self.kept, strict=True
        ):
            groups = optimizer.state_dict()["param_groups"] if schedule is None else state["param_groups"]
            try:
                optimizer.load_state_dict({"state": state["state"], "param_groups": groups})
            except ValueError as error:
                raise UserError(f"optimizer_state=kept: the stage's parameter groups are others ({error})") from error
            if schedule is not None:
                config.scheduler.load_state_dict(schedule)

    def on_train_start(self) -> None:
        if not self.automatic_optimization:
            # Set only now, as Lightning would refuse it: its count of steps in the logs is then that of updates.
            self.trainer.accumulate_grad_batches = self.setup_or_error.accumulate

    # ---- checkpoint ---------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sr"] = {**self.metadata, "batches_seen": self.batches_seen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches_seen = int(checkpoint["sr"]["batches_seen"])


def _merge_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if callable(merge := getattr(child, "merge", None)):
            setattr(module, name, merge())
        else:
            _merge_children(child)


def _nothing() -> None:
    """Stands in for a hook."""
