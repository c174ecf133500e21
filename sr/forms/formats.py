"""The forms in which a network is written: how each is made, and how it is read back and run."""

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule

from sr.errors import UserError, installing
from sr.forms.deployed import Exported
from sr.forms.for_spandrel import for_spandrel, run_for_spandrel
from sr.runs import checkpoint, safetensors
from sr.zoo.onnx_file import CHECKSUM, FACTS, run, session
from sr.zoo.onnx_graph import checksum

log = logging.getLogger(__name__)
TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-3  # of the largest value, at least of 1
MOST = 1 << 14  # pixels of a side that a program of torch.export takes
Run = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """A form.

    Attributes:
        write: makes the file; the last argument is the version of ONNX's operators.
        reader: what runs the file on a processor.
        needs: modules, of the extra `export`.
        ending: of the file's name; None for the form's.
    """

    write: Callable[[Path, Exported, int], None]
    reader: Callable[[Path, Exported], Run]
    needs: Sequence[str] = ()
    ending: str | None = None


def installed(chosen: Sequence[str]) -> None:
    """Raises a UserError where what writes one of the forms is not installed."""
    missing = [m for one in chosen for m in FORMATS[one].needs if importlib.util.find_spec(m) is None]
    if missing:
        raise UserError(f"{', '.join(dict.fromkeys(missing))} is not installed: {installing('export')}")


def to_onnx(file: Path, what: Exported, opset: int) -> None:
    """Write an ONNX file with operators of a version."""
    import onnx

    with _quiet():
        program = torch.onnx.export(
            what.deployed(), (_example(what),), dynamo=True, dynamic_shapes=(_free(what, named=True),),
            input_names=["lr"], output_names=["sr"], opset_version=opset, external_data=False, verbose=False,
            custom_translation_table=None if what.half else {torch.ops.aten.sigmoid.default: _sigmoid},
        )  # fmt: skip
        assert program is not None
        program.save(str(file), external_data=False)
    model = onnx.load(str(file))
    for node in [node for graph in (model.graph, *model.functions) for node in graph.node]:
        del node.metadata_props[:]  # where on this disk each line of code lies
        node.doc_string = ""
    facts = what.facts
    facts |= {CHECKSUM: checksum(model.SerializeToString(), facts)}
    onnx.helper.set_model_props(model, {FACTS + key: value for key, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))
    found = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if found != opset:
        log.warning(f"note: it needs version {found} of ONNX's operators, not {opset}")


def _sigmoid(x: Any) -> Any:
    """By exp: ONNX Runtime's own is 1e-7 off whatever it makes, and ESA gates features of 10,000 with nearly nothing.

    Of noise RLFN's weights of NTIRE 2022 were 8e-5 from PyTorch by that, and are 2e-6. Not for float16, whose exp ends
    at 11. SiLU keeps it: by exp SPAN takes a sixth more time and is no nearer.
    """
    from onnxscript import opset18 as op

    return op.Reciprocal(op.Add(op.Exp(op.Neg(x)), op.Constant(value_float=1.0)))


def _run_onnx(file: Path, what: Exported) -> Run:
    opened = session(file)
    return lambda x: run(opened, x, file.name)


def _to_program(file: Path, what: Exported, opset: int) -> None:
    with _quiet():
        program = torch.export.export(what.deployed(), (_example(what),), dynamic_shapes=(_free(what, named=False),))
        for part in program.graph_module.modules():
            for node in part.graph.nodes if isinstance(part, GraphModule) else ():
                node.meta.pop("stack_trace", None)  # where on this disk the code lies
        with file.open("wb") as f:
            torch.export.save(program, f, extra_files={"sr.json": json.dumps(what.facts)})


def _run_program(file: Path, what: Exported) -> Run:
    with file.open("rb") as f:
        run: Run = torch.export.load(f).module()
    return run


def _to_safetensors(file: Path, what: Exported, opset: int) -> None:
    told = {"format": "pt", "sr": json.dumps(what.description)}
    _save(file, what, what.model.state_dict(), told)


def _to_spandrel(file: Path, what: Exported, opset: int) -> None:
    _save(file, what, for_spandrel(what.model), {"format": "pt"})


def _save(file: Path, what: Exported, state: Mapping[str, Tensor], told: dict[str, str]) -> None:
    from safetensors.torch import save

    kept = {k: v.half() if what.half and v.is_floating_point() else v for k, v in state.items()}
    if what.half and not all(bool(torch.isfinite(v).all()) for v in kept.values()):
        raise UserError("some of its weights are too large for float16: leave half=true out")
    plain = {k: v.clone(memory_format=torch.contiguous_format) for k, v in kept.items()}  # it takes no other layout
    told |= {"precision": "weights in float16, computed in float32"} if what.half else {}
    told = what.facts | told
    told[safetensors.CHECKSUM] = safetensors.checksum(plain, told)
    content = save(plain, told)  # save_file makes files that their owner alone may read
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True).encode()  # else its order changes each time
    header += b" " * (-len(header) % 8)
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])


def _run_safetensors(file: Path, what: Exported) -> Run:
    return Exported(checkpoint.load(file), what.name, what.scale).deployed()


def apart(
    run: Run, given: Sequence[Tensor], wanted: Sequence[Tensor], half: bool = False, strained: Sequence[Tensor] = ()
) -> float:
    """The largest difference between a file's results and the network's, in parts of the largest value, at least 1.

    Args:
        run: computes with the file.
        given: what it is compared on.
        wanted: what the network makes of it.
        half: whether it computes in float16.
        strained: for what its result need only be finite.

    Raises:
        UserError: it is too large.
    """
    largest, limit = 0.0, HALF_TOLERANCE if half else TOLERANCE
    too_large = "Its values may be too large for float16: leave half=true out"
    for x, y in zip(given, wanted, strict=True):
        found = run(x)
        if found.shape != y.shape:
            raise UserError(f"for LR of {tuple(x.shape)} it gives {tuple(found.shape)}; it is not kept")
        one = float((found - y).abs().max() / y.abs().max().clamp(min=1))
        if not one <= limit:  # nor where it is no number
            raise UserError(
                f"for LR of {tuple(x.shape)} its result is {one:.1e} from the network's, more than {limit:g}; it is "
                "not kept" + (f". {too_large}" if half else "")
            )
        largest = max(largest, one)
    if not all(run(x).isfinite().all() for x in strained):
        raise UserError(f"of noise, or of a checkerboard, it makes what is no number; it is not kept. {too_large}")
    return largest


def _example(what: Exported) -> Tensor:
    return what.noise(48, 60, batch=2)


def _free(what: Exported, named: bool) -> dict[int, Any]:
    """The sides of LR that may be others than the example's; EDVR's in steps of 4, where its levels fit each other."""
    sides = -2 + _example(what).ndim
    if what.frames is not None:
        rows, columns = (torch.export.Dim(f"quarter_{n}", min=4, max=MOST // 4) for n in ("height", "width"))
        return {0: torch.export.Dim("batch", min=1, max=MOST), sides: 4 * rows, sides + 1: 4 * columns}
    if named:
        return {0: "batch", sides: "height", sides + 1: "width"}
    return {n: torch.export.Dim.DYNAMIC for n in (0, sides, sides + 1)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters tell of themselves: that torchvision is not here, that a form of theirs will change."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for one in loggers:
                one.setLevel(logging.ERROR)
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)


FORMATS = {
    "onnx": Format(to_onnx, _run_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "pt2": Format(_to_program, _run_program),
    "safetensors": Format(_to_safetensors, _run_safetensors, ("safetensors",)),
    "spandrel": Format(_to_spandrel, run_for_spandrel, ("safetensors",), "_spandrel.safetensors"),
    "hub": Format(_to_safetensors, _run_safetensors, ("safetensors",)),  # with what `sr.deploy.card` puts beside it
}
