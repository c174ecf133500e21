"""A training step with weights in memory as (B, H, W, C) beside (B, C, H, W), for six networks.

Run it: OMP_NUM_THREADS=1 python benchmarks/channels_last.py > benchmarks/channels_last.md

The same weights, batch, L1 and Adam, x2; a step is forward, backward and optimizer.
"""

import argparse
import copy
from collections.abc import Callable

import torch
from beside import TURNS, in_turns, machine, table

from sr.cli import keep_freed_memory
from sr.models.base import SuperResolver
from sr.models.bsrn import BSRN
from sr.models.ecbsr import ECBSR
from sr.models.edsr import EDSR
from sr.models.espcn import ESPCN
from sr.models.rlfn import RLFN
from sr.models.srresnet import SRResNet

NETWORKS: dict[str, Callable[[], SuperResolver]] = {
    "EDSR-baseline": lambda: EDSR(2),
    "RLFN": lambda: RLFN(2),
    "BSRN": lambda: BSRN(2),
    "ECBSR-M4C16": lambda: ECBSR(2, num_blocks=4, channels=16),
    "SRResNet": lambda: SRResNet(2),
    "ESPCN": lambda: ESPCN(2),
}


def step(model: SuperResolver, lr: torch.Tensor, hr: torch.Tensor, steps: int) -> Callable[[], object]:
    """So many steps of training."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def take() -> None:
        for _ in range(steps):
            torch.nn.functional.l1_loss(model.network(lr, 2), hr).backward()
            optimizer.step()
            optimizer.zero_grad()

    return take


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--patch", type=int, default=24, help="LR pixels a side")
    parser.add_argument("--batch", type=int, default=4, help="images")
    given = parser.parse_args()
    keep_freed_memory()  # as the commands do
    rows: list[list[object]] = []
    for name, network in NETWORKS.items():
        torch.manual_seed(0)
        model = network()
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        side, small = given.patch, name in ("ECBSR-M4C16", "ESPCN")
        lr, hr = (torch.rand(given.batch, model.colors, n, n) for n in (side, 2 * side))
        steps = 10 if small else 1
        ways = {"contiguous": step(model, lr, hr, steps), "channels_last": step(last, lr, hr, steps)}
        seconds = {way: each / steps for way, each in in_turns(ways, given.rounds).items()}
        times = [seconds[way] for way in ways]
        rows.append([name, *(f"{1000 * each:.1f}" for each in times), f"{100 * (1 - times[1] / times[0]):+.0f} %"])
    size = f"{given.batch} LR patches of {given.patch}x{given.patch}"
    print(f"# A training step x2 with {size}, milliseconds\n\n{machine()}; {TURNS}.\n")
    print(table(["network", "contiguous", "channels_last", "saved"], rows))


if __name__ == "__main__":
    main()
