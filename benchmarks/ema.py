"""An update of the moving average of weights, beside Lightning's, which goes tensor by tensor.

Run it: OMP_NUM_THREADS=1 python benchmarks/ema.py > benchmarks/ema.md
"""

import argparse
from collections.abc import Callable

import lightning.pytorch as L
from beside import TURNS, in_turns, machine, table
from lightning.pytorch.callbacks import EMAWeightAveraging

from sr.callbacks import EMA
from sr.models.bsrn import BSRN
from sr.models.edsr import EDSR

NETWORKS: dict[str, Callable[[int], L.LightningModule]] = {"BSRN": BSRN, "EDSR-baseline": EDSR}
CALLS = 20  # of each, timed together


def ways(model: L.LightningModule) -> dict[str, Callable[[], None]]:
    """What each callback does after a step."""
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    ours, theirs = EMA(), EMAWeightAveraging()
    for callback in (ours, theirs):
        callback.setup(trainer, model, "fit")
    ours.on_train_start(trainer, model)

    def by_ours() -> None:
        for _ in range(CALLS):
            steps.completed += 1
            ours.after_batch(trainer, model, None)

    def by_theirs() -> None:
        for _ in range(CALLS):
            steps.completed += 1
            theirs.on_train_batch_end(trainer, model, None, None, 0)

    return {"ours": by_ours, "Lightning's": by_theirs}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds, rows = parser.parse_args().rounds, list[list[object]]()
    for name, build in NETWORKS.items():
        model = build(4)
        sizes = [parameter.numel() for parameter in model.parameters()]
        found = {way: 1000 * s / CALLS for way, s in in_turns(ways(model), rounds).items()}
        own, other = found.values()
        rows.append([name, len(sizes), f"{sum(sizes):,}", f"{own:.2f}", f"{other:.2f}", f"{other / own:.1f}"])
    print("# An update of the moving average of weights, milliseconds\n")
    print(f"{machine()}; {TURNS}.\n")
    print(table(["network", "tensors", "parameters", "`callbacks=[ema]`", "Lightning's", "times faster"], rows))


if __name__ == "__main__":
    main()
