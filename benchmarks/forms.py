"""The forms in which `sr evaluate` and `sr upscale` run networks x4, beside eager ones as they were trained.

The network's time of both commands: on the LR of two photos as evaluate asks for it, on one of them as upscale does,
whole and in tiles (which PyTorch computes in every form). PSNR is that of the results under protocol `y`. Authors'
weights are taken where --weights has them; EDSR-baseline's were published nowhere that we know, its own are random.

Run it, with the extra `export`: OMP_NUM_THREADS=1 python benchmarks/forms.py --weights PATH > benchmarks/forms.md
"""

import argparse
import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from beside import TURNS, in_turns, machine, table
from skimage import data
from torch import Tensor

from sr.cli import keep_freed_memory
from sr.deploy.tiles import enlarge
from sr.errors import UserError
from sr.forms.running import AUTO, formed
from sr.measuring.frames import outputs_of
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver
from sr.models.bsrn import BSRN
from sr.models.edsr import EDSR
from sr.models.rlfn import RLFN
from sr.precision import full_precision
from sr.zoo.load import load

SCALE = 4
NETWORKS: dict[str, tuple[type[SuperResolver], str]] = {
    "EDSR-baseline": (EDSR, ""),
    "RLFN": (RLFN, "rlfn_x4"),
    "BSRN": (BSRN, "bsrn_x4"),
}


def built(name: str, weights: str) -> tuple[SuperResolver, str]:
    """A network as it was trained, and whose its weights are."""
    torch.manual_seed(0)
    network, file = NETWORKS[name]
    if file:
        try:
            return load(file, weights, download=False).model, file
        except UserError:
            pass
    return network(SCALE).eval(), "random"


def photos(side: int | None) -> list[tuple[Tensor, Tensor]]:
    """HR and LR of the photos that are held out, or of their corners."""
    protocol, found = get_protocol("y"), []
    for photo in (data.astronaut(), data.coffee()):
        hr = torch.from_numpy(np.ascontiguousarray(photo[:side, :side].transpose(2, 0, 1)))[None]
        found.append((hr, protocol.lr(hr, SCALE)))
    return found


def evaluated(model: SuperResolver, images: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """As sr evaluate runs a network."""
    with torch.inference_mode(), full_precision(torch.device("cpu")):
        return [next(outputs_of(model, [lr], SCALE)) for _, lr in images]


def psnr(model: SuperResolver, images: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Mean over the photos, dB."""
    outputs = zip(evaluated(model, images), images, strict=True)
    return float(np.mean([float(get_protocol("y").compare(sr, hr, SCALE)["psnr"]) for sr, (hr, _) in outputs]))


def main() -> None:
    """Print the table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--weights", default="data/weights", help="folder of the authors' files")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--side", type=int, help="HR pixels of the photos' corner that is enlarged")
    parser.add_argument("--forms", nargs="+", default=[AUTO, "onnx"])
    given = parser.parse_args()
    keep_freed_memory()  # as the commands do
    images = photos(given.side)
    times: list[list[object]] = []
    figures: list[str] = []
    for name in given.networks:
        model, whose = built(name, given.weights)
        found = [formed(model, form, SCALE, "cpu") for form in given.forms]
        ways = {"eager": copy.deepcopy(model)} | {each.form: each.model for each in found}
        lr = images[0][1]
        places: dict[str, Callable[[SuperResolver], object]] = {
            "evaluate": partial(evaluated, images=images),
            "upscale": lambda way, lr=lr: enlarge(way, lr, SCALE),  # type: ignore[misc]
            "upscale, tile=64": lambda way, lr=lr: enlarge(way, lr, SCALE, tile=64),  # type: ignore[misc]
        }
        for place, run in places.items():
            own = {way: each for way, each in ways.items() if way != "onnx" or "tile" not in place}
            seconds = in_turns({way: partial(run, each) for way, each in own.items()}, given.rounds)
            cells = [f"{1e3 * seconds[way]:.0f}" if way in seconds else "" for way in ways]
            faster = [f"{seconds['eager'] / seconds[way]:.2f}" if way in seconds else "" for way in list(ways)[1:]]
            times.append([name, place, *cells, *faster])
        dbs = {way: psnr(each, images) for way, each in ways.items()}
        told = ", ".join(f"{way} {db:.4f}" for way, db in dbs.items())
        figures.append(f"- {name} ({whose}): {told}; at most {max(dbs.values()) - min(dbs.values()):.5f} apart")
    names = list(ways)
    print(f"# The network's time x{SCALE}, milliseconds\n\n{machine()}; {TURNS}.\n")
    print(table(["network", "in", *names, *(f"{n}, times as fast" for n in names[1:])], times))
    print("\n".join(["\nMean PSNR (weights), dB:\n", *figures]))


if __name__ == "__main__":
    main()
