"""The form in which a network runs here: as fast as can be while its result stays the same.

A form is the merged network with another layout of its weights, or with another `network`: padding, colours and what a
file reads stay the architecture's own. Each is tried before it is used.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch
from torch import Tensor

from sr.compiled import compiled
from sr.errors import UserError, nearest, reason, user_error
from sr.forms import formats
from sr.forms.deployed import Exported, exportable
from sr.models.base import SuperResolver
from sr.precision import full_precision
from sr.zoo.onnx_file import OnnxResolver, run, session

AUTO = "auto"
EXACT = 1e-5  # of the largest value, at least of 1
TRIED = (13, 18)  # LR pixels, at least, of the picture that a form is tried on
OPSET = 20  # of the file that ONNX Runtime is given: GELU is one operator from here on


@dataclass(frozen=True)
class Formed:
    """A network in a form.

    Attributes:
        model: in eval mode.
        form: its name.
        apart: the largest difference from the merged network's result, in parts of the largest value, at least 1.
    """

    model: SuperResolver
    form: str
    apart: float = 0.0

    def __str__(self) -> str:
        return self.form if self.form == "merged" else f"{self.form} (exact to {max(self.apart, 1e-7):.0e})"


Make = Callable[[SuperResolver, SuperResolver, int], SuperResolver]  # as trained, merged, scale


def formed(model: SuperResolver, form: str, scale: int, device: torch.device | str, merge: bool = True) -> Formed:
    """A network in the form that is asked for; `model` is left as it is.

    Args:
        model: as it was trained.
        form: one of FORMS, or "auto": for networks on images channels_last on a processor, where it was measured to be
            faster (benchmarks/forms.md), if that is exact; else merged.
        scale: at which it is tried, and for which ONNX Runtime's file is made.
        device: where it will run.
        merge: whether its blocks may be merged; false where that would be another function.

    Raises:
        UserError: there is no such form, it cannot be had of this network or on this machine, or its result is another.
    """
    known(form)
    plain = (model.merged() if merge else copy.deepcopy(model).eval()).to(device)
    auto = form == AUTO
    if isinstance(model, OnnxResolver):
        return Formed(plain, "onnx")  # and has no other
    unmeasured = torch.device(device).type != "cpu" or plain.clips
    if next(plain.parameters(), None) is None or form == "merged" or (auto and unmeasured):
        return Formed(plain, "merged")
    try:
        found = tried(model, plain, "channels_last" if auto else form, scale)
        if found.apart > EXACT:
            raise UserError(f"its result is {found.apart:.1e} from the network's, more than {EXACT:g}")
    except Exception as error:  # whatever a network of the user's cannot do in this form
        if auto:
            return Formed(plain, "merged")
        raise UserError(f"form={form}: {user_error(error) or reason(error)}. Leave form= out") from error
    return found


def known(form: str) -> None:
    """Raises a UserError where there is no such form."""
    if form != AUTO and form not in FORMS:
        raise UserError(f"form={form}: there are {AUTO}, {', '.join(FORMS)}.{nearest(form, [AUTO, *FORMS])}")


def tried(model: SuperResolver, plain: SuperResolver, form: str, scale: int) -> Formed:
    """A network in one of FORMS, with the difference that it makes on an image; compilers compile here.

    Args:
        model: as it was trained.
        plain: the same, merged, on its device; it is left as it is.
        form: its name.
        scale: see `formed`.

    Raises:
        UserError: it cannot be had of this network, or here. Compilers raise errors of their own.
    """
    place = next(plain.parameters(), torch.empty(0)).device
    if isinstance(model, OnnxResolver) and form != "onnx":
        raise UserError("an ONNX file is run by ONNX Runtime alone, with as many threads as torch has")
    found = (plain if isinstance(model, OnnxResolver) else FORMS[form](model, plain, scale)).to(place)
    like = Exported(plain, form, scale)
    lr = like.picture(*(max(side, like.least) for side in TRIED)).to(place)
    with torch.inference_mode(), full_precision(place):
        wanted, got = plain(lr, scale), found(lr, scale)
    if got.shape != wanted.shape:
        raise UserError(f"of an image of {tuple(lr.shape)} it makes {tuple(got.shape)}, not {tuple(wanted.shape)}")
    apart = float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1))
    return Formed(found, form, apart if apart == apart else torch.inf)


def _eager(model: SuperResolver, plain: SuperResolver, scale: int) -> SuperResolver:
    return copy.deepcopy(model).eval()


def _channels_last(model: SuperResolver, plain: SuperResolver, scale: int) -> SuperResolver:
    return copy.deepcopy(plain).to(memory_format=torch.channels_last)


def _compiled(model: SuperResolver, plain: SuperResolver, scale: int) -> SuperResolver:
    found = _of_images(_channels_last(model, plain, scale))
    found.network = compiled(found.network, dynamic=True)  # type: ignore[method-assign]
    return found


def _bf16(model: SuperResolver, plain: SuperResolver, scale: int) -> SuperResolver:
    found = _of_images(_channels_last(model, plain, scale))
    own = found.network

    def network(x: Tensor, scale: int) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return own(x, scale).to(x.dtype)

    found.network = network  # type: ignore[method-assign]
    return found


def _onnx(model: SuperResolver, plain: SuperResolver, scale: int, threads: int | None = None) -> SuperResolver:
    exportable(plain)
    found = _of_images(copy.deepcopy(plain))
    formats.installed(["onnx"])
    found.network = _ByOnnxRuntime(found, scale, threads)  # type: ignore[method-assign]
    return found


class _ByOnnxRuntime:
    """`network`, computed by ONNX Runtime; what is smaller than its file takes, by the network itself.

    Args:
        model: merged.
        scale: the factor.
        threads: of the processor; None for as many as torch has.

    Raises:
        UserError: the file's results are not the network's.
    """

    def __init__(self, model: SuperResolver, scale: int, threads: int | None) -> None:
        what = Exported(copy.deepcopy(model).cpu(), "network", scale, inside=True)
        self.model, self.scale, self.least = model, scale, what.least
        with TemporaryDirectory() as folder, full_precision(torch.device("cpu")), torch.no_grad():
            file = Path(folder) / "network.onnx"
            formats.to_onnx(file, what, OPSET)
            self.opened = session(file, threads)
            network, given = what.deployed(), what.compared()
            formats.apart(self._run, given, [network(x) for x in given])
            self.opened = session(file, threads)  # anew, as it keeps the memory of the largest image that it has seen

    def _run(self, x: Tensor) -> Tensor:
        return run(self.opened, x, "the network").to(x.device, x.dtype)

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        if scale == self.scale and min(x.shape[-2:]) >= self.least:
            return self._run(x)
        return type(self.model).network(self.model, x, scale)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        return self


def _of_images(model: SuperResolver) -> SuperResolver:
    if model.clips:
        raise UserError(
            f"{type(model).__name__} makes each frame of several: it runs eager, merged, or in channels_last"
        )
    return model


FORMS: Mapping[str, Make] = {
    "eager": _eager,  # as it was trained
    "merged": lambda model, plain, scale: plain,
    "channels_last": _channels_last,  # merged; weights and features in memory as (B, H, W, C)
    "compiled": _compiled,  # by torch.compile, in channels_last
    "bf16": _bf16,  # convolutions in bfloat16, in channels_last
    "onnx": _onnx,  # by ONNX Runtime, merged
    "onnx_1_thread": partial(_onnx, threads=1),
}
