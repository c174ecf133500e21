"""How far ONNX Runtime is from the network, from the smallest picture to 257x131.

The files of conf/model with weights that are drawn, not trained (as the tests draw them: no branch idle, statistics of
real features), x4 where a network has it, on noise; with --weights the zoo's networks whose files lie there, on
pictures as smooth as photos, and on noise. The error is the largest difference of any value, in parts of the largest
value, at least of 1; what `sr export` keeps is below 1e-5, in float16 (beside the network in float32; on white and
black, too) below 2e-3. Every file has passed onnx.checker, or its row says what is wrong.

Run it: PYTHONPATH=tests python benchmarks/export.py --weights PATH > benchmarks/export.md, or, to measure some rows
anew: PYTHONPATH=tests python benchmarks/export.py --into benchmarks/export.md --only NAME...
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import networks as nets
import onnx
import onnxruntime
import torch
from beside import processor, table
from torch import Tensor

from sr.errors import UserError, reason
from sr.forms.deployed import CLIP_SIZES, Exported, exportable
from sr.forms.formats import FORMATS, Run
from sr.zoo.entries import ENTRIES
from sr.zoo.load import load

SIZES = ((1, 1), (2, 7), (21, 24), (257, 131))  # LR pixels
OPSET = 18


def drawn(name: str, small: bool) -> Exported:
    """The network of conf/model/NAME.yaml."""
    torch.manual_seed(0)
    scale = nets.scales(name)[-1]
    model = nets.build(name, scale, small)
    nets.used(model)
    return Exported(model, name, scale)


def trained(weights: str, only: Sequence[str]) -> Iterator[Exported]:
    """The zoo's networks whose files lie in a folder."""
    for entry in ENTRIES:
        if only and entry.name not in only:
            continue
        with suppress(UserError):
            yield Exported(load(entry.name, weights, download=False).model, entry.name, entry.scale)


def apart(run: Run, compared: Sequence[tuple[Tensor, Tensor]]) -> str:
    """The largest difference between a file's results and the network's."""
    found = [float((run(x) - y).abs().max() / y.abs().max().clamp(min=1)) for x, y in compared]
    return f"{max(found):.1e}"


def row(what: Exported, sizes: Sequence[tuple[int, int]], photos: bool, folder: Path) -> list[object]:
    """Of the table: on noise, or on pictures and on noise."""
    cells: list[object] = [what.name, f"x{what.scale}"]
    try:
        exportable(what.model)
    except UserError as error:
        return [*cells, *("-" for _ in range(4 if photos else 3)), str(error).split(":")[0]]
    if what.frames is None:
        fitting = [size for size in sizes if min(size) >= what.least]
    else:
        fitting = [*CLIP_SIZES[:2], *((h // 4 * 4, w // 4 * 4) for h, w in sizes[3:])]
    cells.append(f"{fitting[0][0]}x{fitting[0][1]}" + (f", {what.frames} frames" if what.frames else ""))
    white, note = torch.ones_like(what.noise(*fitting[len(fitting) // 2])), ""
    with torch.no_grad():
        network = what.deployed()
        kinds = [what.picture, what.noise] if photos else [what.noise]
        given, *others = [[(x, network(x)) for x in (kind(*size) for size in fitting)] for kind in kinds]
        flat = [(x, network(x)) for x in (white, 0 * white)]
        for half in (False, True):
            file, one = folder / f"{what.stem}.onnx", replace(what, half=half)
            columns = [[*given, *flat]] if half else [given, *others]
            try:
                FORMATS["onnx"].write(file, one, OPSET)
                run = FORMATS["onnx"].reader(file, one)
                cells += [apart(run, compared) for compared in columns]
            except Exception as error:  # it is the table that tells
                cells += ["-" for _ in columns]
                note = str(error) if isinstance(error, UserError) else reason(error)
            file.unlink(missing_ok=True)
    limit = "" if len(sizes) == len(SIZES) else f"up to {sizes[-1][0]}x{sizes[-1][1]}"
    return [*cells, "; ".join(filter(None, (limit, note)))]


def merged(page: str, kind: str, new: list[object], order: Sequence[str]) -> str:
    """The page with a row in its table, in place of the one that was measured before."""
    before, title, after = page.partition(f"Weights that are {kind}")
    lines = after.split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("| ---")) + 1
    end = next(n for n in range(start, len(lines)) if not lines[n].startswith("|"))
    rows = {line.split()[1]: line for line in [*lines[start:end], table([], [new]).split("\n")[-1]]}
    return before + title + "\n".join([*lines[:start], *(rows[name] for name in order if name in rows), *lines[end:]])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="files of conf/model and names of the zoo")
    parser.add_argument("--small", action="store_true", help="few blocks and channels, as in the fast tests")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of them, the smallest first")
    parser.add_argument("--weights", help="folder of the authors' files")
    parser.add_argument("--into", type=Path, help="page whose rows are replaced, each when it is measured; others stay")
    given = parser.parse_args()
    sizes = SIZES[: given.sizes]
    error = ["error", "error in float16", "note"]
    names = [name for name in nets.NAMES if name in given.only or not given.only]
    tables = {"drawn": ((drawn(name, given.small) for name in names), error, nets.NAMES)}
    if given.weights:
        found = trained(given.weights, given.only)
        tables["trained"] = (found, ["error", "error of noise", *error[1:]], [entry.name for entry in ENTRIES])
    versions = f"ONNX {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}"
    largest = "x".join(map(str, sizes[-1]))
    page = (
        "# How far ONNX files are from their networks\n\n"
        f"{processor()}, torch {torch.__version__}, {versions}; up to {largest}, operators of version {OPSET}.\n"
    )
    for kind, (_, columns, _) in tables.items():
        page += f"\nWeights that are {kind}:\n\n{table(['network', 'scale', 'from', *columns], [])}\n"
    if given.into:
        page = given.into.read_text()
    for kind, (found, _, order) in tables.items():
        with tempfile.TemporaryDirectory() as folder:
            for what in found:
                start = time.perf_counter()
                new = row(what, sizes, kind == "trained", Path(folder))
                print(new, f"{time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
                page = merged(page, kind, new, order)
                if given.into:
                    given.into.write_text(page)
    if not given.into:
        print(page, end="")


if __name__ == "__main__":
    main()
