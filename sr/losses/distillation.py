"""Distance to what a trained network makes of the same LR."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.identity import identity
from sr.losses.frozen import Frozen


class Distillation(Frozen):
    """distance(r * sr, r * teacher(lr)): the outputs of a trained network as targets.

    Hinton et al., 2015 (https://arxiv.org/abs/1503.02531) for classes; on images as the entries to NTIRE's efficient
    tracks use it. The teacher does not learn, is no part of what is deployed, and is not kept in checkpoints: a resume
    reads it again, and refuses another one.

    Args:
        teacher: a `SuperResolver` in eval mode, of the student's scale, whose parameters become buffers. One on RGB
            needs a student on RGB.
        distance: torch.nn.L1Loss() or torch.nn.MSELoss().
        value_range: r, in which the distance is taken; 1 or 255.

    Shapes: sr (B, 1|3, H, W) and lr (B, 1|3, h, w), in [0, 1] -> scalar.
    """

    uses_lr: ClassVar[bool] = True
    mark: Tensor

    def __init__(self, teacher: Any, distance: nn.Module, value_range: float = 1.0) -> None:
        super().__init__()
        self.teacher, self.distance, self.value_range = teacher, distance, value_range
        for module in teacher.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach(), persistent=False)
            module._non_persistent_buffers_set.update(module._buffers)
        state = dict(teacher.named_buffers())
        # The same weights with other settings, or read in another range, teach something else.
        told = {key: value for key, value in (teacher.metadata or {}).items() if key in ("model", "reads") and value}
        self._formerly = _mark(state, {})  # of runs begun before settings counted
        self.register_buffer("mark", torch.tensor(_mark(state, told)))
        self.eval()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        began = int(state_dict.get(f"{prefix}mark", self.mark))
        if began not in (int(self.mark), self._formerly):
            raise UserError(
                "the teacher has other weights or settings than the one that this run began with: put that one back "
                "where teacher= names it, or begin a run of its own from these weights with init_from="
            )
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, sr: Tensor, hr: Tensor, lr: Tensor) -> Tensor:
        scale = hr.shape[-1] // lr.shape[-1]
        with torch.no_grad():
            made = self.teacher.in_own_colors(lr, scale) if lr.shape[-3] == 1 else self.teacher(lr, scale)
        return self.distance(self.value_range * sr, self.value_range * made)

    def refuse_for(self, student: Any) -> None:
        """Raises a UserError where the teacher cannot teach a network."""
        name = type(self.teacher).__name__
        if self.teacher.clips:
            raise UserError(f"the teacher is {name}, which works on clips: teachers are networks on images")
        if self.teacher.colors > student.colors:
            raise UserError(
                f"the teacher, {name}, sees RGB, and {type(student).__name__} sees Y alone, which is all that its loss "
                "compares: type model.colors=3 if it has that, or teacher=<one on Y>"
            )
        if missing := set(student.scales) - set(self.teacher.scales):
            told = ", ".join(map(str, self.teacher.scales))
            raise UserError(f"the teacher, {name}, enlarges by {told}, not by {min(missing)}: type another teacher=")


def _mark(state: dict[str, Tensor], settings: dict[str, Any]) -> int:
    return int(identity(state, settings)[:14], 16)
