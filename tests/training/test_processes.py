"""Two processes, and a batch in two parts, train and measure as one does."""

import csv
import os
import socket
import subprocess
import sys

import hydra
import pytest
from small_runs import PACKAGE, ROOT, SMALL, rows, saved, start

from sr.compose import schema
from sr.compose.conf import CONF
from sr.training.trainer import trainer


def test_two_processes_measure_as_one_does(command, div2k, tmp_path):
    """Three validation images on two processes: nobody is counted twice, nobody is left out at the end."""
    folder = tmp_path / "two"
    process = start(
        folder, *[a for a in SMALL if a != "benchmarks=[]"], "data=div2k", f"data.root={div2k}", "steps=6",
        "val_every_steps=6", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert process.wait(240) == 0, (tmp_path / "two.out").read_text()
    assert len(list(tmp_path.glob("two*/checkpoints"))) == 1
    one = command("evaluate.py", f"checkpoint={folder}", "data=[div2k]", f"data.root={div2k}", "protocol=y")
    assert one.code == 0, one
    with (one.folder / "results.csv").open() as f:
        mine = next(r for r in csv.DictReader(f) if r["model"] == "ecbsr_m4c8")
    with (folder / "results.csv").open(newline="") as f:
        final = next(r for r in csv.DictReader(f) if r["model"] == "ecbsr_m4c8" and r["protocol"] == "y")
    assert (final["images"], final["psnr"]) == ("3", mine["psnr"])
    theirs = rows(folder)[-1]
    assert float(theirs["val/psnr_y"]) == pytest.approx(float(mine["psnr"]), abs=1e-4)
    assert float(theirs["val/ssim_y"]) == pytest.approx(float(mine["ssim"]), abs=1e-6)


ADVERSARY = (
    "+loss.terms.adversarial={weight: 0.1, loss: {_target_: sr.losses.Adversarial, "
    "discriminator: {_target_: torch.nn.Conv2d, in_channels: 1, out_channels: 1, kernel_size: 4}, "
    "criterion: {_target_: sr.losses.Vanilla}, optimizer: {_target_: torch.optim.SGD, _partial_: true, lr: 0.1}, "
    "scheduler: ${scheduler}}}"
)
ALONE = pytest.param([], id="a loss alone", marks=pytest.mark.slow)


@pytest.mark.parametrize("extra", [ALONE, pytest.param([ADVERSARY], id="a discriminator beside the network")])
def test_processes_share_the_batch_of_one(command, div2k, tmp_path, extra):
    """The same images in the same steps: two processes end where one does, up to rounding."""
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=5", "val_every_steps=5", "batch_size=4", *extra]
    typed.append("trainer.log_every_n_steps=1")
    one = command("train.py", *typed, folder="one")
    assert one.code == 0, one
    ddp = ["trainer=ddp", "trainer.accelerator=cpu"]
    process = start(tmp_path / "two", *typed, *ddp, by=PACKAGE, OMP_NUM_THREADS="1")
    assert process.wait(240) == 0, (tmp_path / "two.out").read_text()
    a, b = (saved(f)["state_dict"] | saved(f)["loss_state_dict"] for f in (one.folder, tmp_path / "two"))
    assert len(a) == len(b) and max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-4
    ours, theirs = ([float(r["train/loss"]) for r in rows(f)] for f in (one.folder, tmp_path / "two"))
    assert ours == pytest.approx(theirs, rel=1e-3)  # what is written down is of all processes, not of the first


@pytest.mark.parametrize("typed", ["trainer=ddp", "trainer=cpu", "trainer=cpu trainer.devices=1"])
def test_of_several_processes_a_step_may_leave_weights_without_a_gradient(tmp_path, typed):
    """MDSR on trainer.devices=2 alone ended in a traceback in its second step."""
    schema.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        words = ["trainer.devices=2", *typed.split(), "trainer.accelerator=cpu", "logger=csv", "callbacks=[]"]
        cfg = hydra.compose("train", words)
    cfg.choices = {"model": "mdsr"}
    for partial in (True, False):
        strategy = trainer(cfg, [4], tmp_path, "mdsr", partial, None).strategy
        found = getattr(strategy, "_ddp_kwargs", {}).get("find_unused_parameters", False)
        assert found is (partial and cfg.trainer.devices == 2)


@pytest.mark.slow
def test_two_nodes_of_torchruns_train_as_one_process_does(command, div2k, tmp_path):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=5", "val_every_steps=5", "batch_size=4"]
    typed += ["trainer.log_every_n_steps=1", "logger=csv"]
    one = command("train.py", *typed, folder="one")
    assert one.code == 0, one
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "nodes").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SR_CACHE_DIR": f"{tmp_path}/cache", "OMP_NUM_THREADS": "1"}
    agents = []
    for node in (0, 1):
        agent = ["-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={node}", "--nproc-per-node=1"]
        agent += ["--master-addr=127.0.0.1", f"--master-port={port}", "-m", "sr", "train"]
        words = [sys.executable, *agent, *typed, "trainer.accelerator=cpu", "trainer.num_nodes=2"]
        with (tmp_path / f"{node}.out").open("w") as log:
            agents.append(subprocess.Popen(words, cwd=tmp_path / "nodes", stdout=log, stderr=log, env=environment))
    try:
        codes = [agent.wait(240) for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    told = "\n".join(file.read_text() for file in tmp_path.glob("[01].out"))
    assert codes == [0, 0] and "a batch of 4 over all, 2 processes x 2; learning rate" in told, told
    (two,) = (tmp_path / "nodes/outputs").glob("*/*/")  # the second node was told the first one's folder
    a, b = (saved(folder)["state_dict"] for folder in (one.folder, two))
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-4
    ours, theirs = ([float(r["train/loss"]) for r in rows(f)] for f in (one.folder, two))
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_accumulation_changes_memory_not_the_result(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=5", "val_every_steps=5", "batch_size=4"]
    typed += ["trainer.log_every_n_steps=1"]
    whole = command("train.py", *typed, folder="whole")
    parts = command("train.py", *typed, "accumulate=2", folder="parts")
    assert whole.code == 0 and parts.code == 0, parts
    a, b = saved(whole.folder)["state_dict"], saved(parts.folder)["state_dict"]
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-4
    ours, theirs = ([r["train/loss"] for r in rows(f) if r["train/loss"]] for f in (parts.folder, whole.folder))
    assert len(ours) == 5  # each the mean over both micro-batches, not the second one's
    assert [float(loss) for loss in ours] == pytest.approx([float(loss) for loss in theirs], rel=1e-3)
