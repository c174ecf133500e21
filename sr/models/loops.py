"""The loops that every architecture shares: optimizers, an adversary beside the network, validation, checkpoints."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, cast

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.torch_file import plain_numbers
from sr.losses.distributed import averaged, broadcast_state
from sr.metrics.protocol_metric import ProtocolMetric
from sr.models.bookkeeping import count_alike, draw_on, drawn
from sr.models.hooks import one_at_a_time
from sr.models.optimizers import as_set, go_on, suit
from sr.models.stepping import Stepper
from sr.models.training import Training
from sr.precision import full_precision

log = logging.getLogger(__name__)


class TrainingLoops(L.LightningModule):
    """Trains and validates a network with what `attach` gives it.

    The networks of the loss (VGG's features, a discriminator) are no part of the model: its state, its parameters and
    its copies are the network's alone. They follow it to its device and number format, and checkpoints hold their
    state as `loss_state_dict`, beside the network's.

    Attributes:
        scales: the enlargement factors of the network.
        batches_seen: micro-batches trained on: where the data stream goes on after a resume.
        batch_losses: of the last batch, without gradients: the network's `loss`, its terms, a discriminator's.
        step_losses: the same, the mean over the micro-batches of the optimizer step so far: what is logged.
        metadata: what a checkpoint tells about itself, plain values only.
        stepper: takes the steps where `automatic_optimization` is off.
        steps_at_once: the most that it takes without Lightning; None for as many as fit between two looks at the logs.
        whole_steps: optimizer steps of the run, of all its stages; 0 where nobody told.
        graph: whether a step is one CUDA graph; "auto" where it can be.
        random: where random numbers go on in the next step, as `drawn` found them; empty: from where they are.
        former_optimizers: state of each optimizer of the stage before, and of its schedule or None to begin it; set
            where a stage goes on with them.
    """

    no_graph: ClassVar[str] = ""  # why a step is no CUDA graph, which repeats what Python counts as it was
    scales: tuple[int, ...]
    stream: Callable[..., Iterator[Tensor]]

    def __init__(self) -> None:
        super().__init__()
        self.batches_seen = 0
        self.batch_losses: dict[str, Tensor] = {}
        self.step_losses: dict[str, Tensor] = {}
        self.metadata: dict[str, Any] = {}
        self.stepper: Stepper | None = None
        self.steps_at_once: int | None = None
        self.whole_steps = 0
        self.graph: bool | str = "auto"
        self.former_optimizers: list[tuple[dict[str, Any], dict[str, Any] | None]] | None = None
        self.random: dict[str, Tensor] = {}
        self._training_setup: Training | None = None
        self._remarked: set[str] = set()  # which validation images have no value, as far as it was told
        self._frozen: set[str] = set()  # parameters that the present stage keeps from learning

    def attach(self, setup: Training) -> None:
        """Set, or replace at a new stage, what the model is trained with."""
        self._training_setup = setup
        self.metrics = nn.ModuleDict({f"x{s}": ProtocolMetric(setup.protocol, setup.metrics) for s in self.scales})
        self.automatic_optimization = setup.adversary is None
        setup.loss.train()
        self.train()
        learnable = self.learnable()
        self._frozen = learnable.keys() - setup.learning(learnable)
        for name, parameter in learnable.items():
            parameter.requires_grad_(name not in self._frozen)
        for module in self.modules() if self._frozen else ():
            # A frozen part's batch statistics stay as they are too.
            if any(True for _ in module.parameters()) and not any(p.requires_grad for p in module.parameters()):
                module.eval()

    @property
    def training_setup(self) -> Training:
        """What `attach` was given.

        Raises:
            UserError: nothing yet.
        """
        if self._training_setup is None:
            raise UserError("nothing to train with is attached: call attach(Training(...)) first")
        return self._training_setup

    @property
    def loss(self) -> nn.Module:
        """The loss of the present stage, with the networks that it owns."""
        return self.training_setup.loss

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Change device or number format (torch's `to`, `half`, `cuda` end here), of the loss's networks too."""
        if self._training_setup is not None:
            self._training_setup.loss._apply(fn, recurse)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the model is one of the network, without what it is trained with."""
        own = dict.fromkeys(("_training_setup", "former_optimizers", "stepper"))
        return super().__getstate__() | own | {"batch_losses": {}, "step_losses": {}}

    def learnable(self) -> dict[str, nn.Parameter]:
        """Every parameter of the network that learns in some stage, by name.

        Raises:
            UserError: there is none.
        """
        found = {n: p for n, p in self.named_parameters() if p.requires_grad or n in self._frozen}
        if not found:
            raise UserError(
                f"{type(self).__name__} has no parameters to train. Measure it instead: "
                "sr evaluate model=bicubic benchmarks=[bundled]"
            )
        return found

    def training_images(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Output, target and input in the network's own colours, (B, colors, H, W) each."""
        raise NotImplementedError

    def training_terms(self, batch: Any, loss: nn.Module) -> dict[str, Tensor]:
        """The weighted terms of `loss` on a batch; overridden where the paper's loss sees more than the output."""
        return loss(*self.training_images(batch))

    def updates(self, batch: Any) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """The updates that one batch makes, in order: (number of the optimizer, loss terms to minimise by it).

        Beside an adversary the discriminator (optimizer 1) goes first, then the network (optimizer 0) against the
        updated discriminator, on the same output, once each (Goodfellow et al., 2014, algorithm 1 with k = 1).
        """
        adversary = self.training_setup.adversary
        if adversary is None:
            yield 0, self.training_terms(batch, self.loss)
            return
        sr, hr, lr = self.training_images(batch)
        yield 1, {"discriminator": adversary.discriminator_loss(sr, hr)}
        yield 0, self.loss(sr, hr, lr)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.stepper is None:
            self.batches_seen += 1  # here, as an optimizer may ask for the loss of one batch several times

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        draw_on(self.random, self.trainer.strategy.root_device)  # not before: what makes loaders draws, too
        self.random = {}
        if self.stepper is not None:
            loss = self.stepper.take(batch)
        else:
            self.batch_losses = {}
            ((player, terms),) = self.updates(batch)
            loss = torch.stack(list(terms.values())).sum()
            self.remember(player, loss, terms)
            self.take_in()
        self._log_losses()
        return loss

    def remember(self, player: int, total: Tensor, terms: dict[str, Tensor]) -> None:
        """Keep the losses of an update (see `updates`) in `batch_losses`."""
        if player == 0:
            self.batch_losses["loss"] = total.detach()
        self.batch_losses.update((name, value.detach()) for name, value in terms.items())

    def take_in(self) -> None:
        """Take the losses of a micro-batch, which `batches_seen` counts, into the mean over its step; nothing waits."""
        number, found = (self.batches_seen - 1) % self.training_setup.accumulate + 1, self.batch_losses
        mean = self.step_losses if number > 1 else {}
        self.step_losses = {k: v if k not in mean else mean[k] + (v - mean[k]) / number for k, v in found.items()}

    def _log_losses(self) -> None:
        """The means over all processes at the steps that are written down, between them this process's shares."""
        losses = self.step_losses
        values = {"loss": losses["loss"]} if len(losses) == 2 else losses  # of a single term the sum says all
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.trainer.global_step + (self.stepper is None)) % every == 0:
            values = averaged(values | self.watched())
        for name, value in values.items():
            self.log(f"train/{name}", value, prog_bar=name == "loss")
        if "stage" in self.metadata:
            self.log("stage", float(self.metadata["stage"]["number"]))

    def watched(self) -> dict[str, Tensor]:
        """What a network tells of itself at the steps that are written down, beside the losses."""
        return {}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip, where Lightning leaves it to the model."""
        clip = self.training_setup.clip
        if self.stepper is not None and clip is not None:
            how = self.trainer.gradient_clip_algorithm or "norm"
            self.clip_gradients(optimizer, gradient_clip_val=clip, gradient_clip_algorithm=how)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        protocol, lr, scale = self.training_setup.protocol, batch.lr, batch.scale
        if protocol.defines_lr:
            lr = protocol.lr(batch.hr, scale, grey=batch.grey[0]).to(lr)
        with full_precision(lr.device):  # a clip's features never lie in memory all at once
            output = torch.stack([*self.stream(lr.unbind(1), scale)], 1) if lr.ndim == 5 else self(lr, scale)
        self._metric(scale).update(output, batch.hr, scale=scale, grey=batch.grey, lr=lr)
        return output

    def _metric(self, scale: int) -> ProtocolMetric:
        return cast(ProtocolMetric, self.metrics[f"x{scale}"])

    def on_validation_epoch_end(self) -> None:
        """Log the mean over images of each scale, and over the scales where there are several."""
        name = self.training_setup.protocol.name
        found = {}
        for scale in self.scales:
            averaged = self._metric(scale)
            # Every process must take part, so the choice is made by what all of them have: the sum of images.
            if int(self.trainer.strategy.reduce(averaged.count.clone().float(), reduce_op="sum")):
                found[scale] = averaged.compute()
                if self.trainer.is_global_zero and (new := set(averaged.remarks) - self._remarked):
                    self._remarked |= new
                    log.warning(f"note: of x{scale}'s validation images {', '.join(new)}; the others are averaged")
            averaged.reset()
        # Shown, whether or not it has a value now: Lightning wants one answer.
        first = self.training_setup.metrics[0].name
        for metric in dict.fromkeys(m for values in found.values() for m in values):
            mean = torch.tensor([values[metric] for values in found.values() if metric in values]).mean()
            # The same on all processes; sync_dist only spares a warning of Lightning's.
            self.log(f"val/{metric}_{name}", mean, prog_bar=metric == first, sync_dist=True)
            if len(found) > 1:
                each = {f"val/x{s}/{metric}_{name}": values[metric] for s, values in found.items() if metric in values}
                self.log_dict(each, sync_dist=True)

    def configure_optimizers(self) -> Any:
        setup = self.training_setup
        schedules = [setup.scheduler] + ([setup.adversary.scheduler] if setup.adversary else [])
        return [
            {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule(optimizer), "interval": "step"}}
            for optimizer, schedule in zip(setup.build_optimizers(self.learnable()), schedules, strict=True)
        ]

    def on_fit_start(self) -> None:
        """Let all processes start from the same loss networks, and go on with `former_optimizers`."""
        broadcast_state(self.loss)
        schedules = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        if self.former_optimizers is not None:
            go_on(self.trainer.optimizers, schedules, self.former_optimizers)

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:
            suit(optimizer, self.device, partial=len(self.scales) > 1)
        if not self.automatic_optimization:
            # Set only now, as Lightning would refuse it: its count of steps in the logs is then that of updates.
            self.trainer.accumulate_grad_batches = self.training_setup.accumulate
            alone = bool(one_at_a_time(self.trainer, self))
            self.stepper = Stepper(self, self.trainer, self.steps_at_once, alone, self.graph)

    def on_train_end(self) -> None:
        self.stepper = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sr"] = {**self.metadata, "batches_seen": self.batches_seen}
        checkpoint["loss_state_dict"] = self.loss.state_dict()
        checkpoint["random"] = drawn(self.trainer.strategy.root_device)
        checkpoint["state_dict"] = {name: value.contiguous() for name, value in checkpoint["state_dict"].items()}
        for optimizer, state in zip(self.trainer.optimizers, checkpoint.get("optimizer_states", []), strict=False):
            as_set(optimizer, state)
        for key in ("callbacks", "optimizer_states", "lr_schedulers") & checkpoint.keys():
            checkpoint[key] = plain_numbers(checkpoint[key])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches_seen = int(checkpoint["sr"]["batches_seen"])
        self.loss.load_state_dict(checkpoint["loss_state_dict"])
        self.random = dict(checkpoint.get("random", {}))
        count_alike(checkpoint)
