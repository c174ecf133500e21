"""What is measured, exported and drawn of a run that is not finished says so."""

import pytest
import torch

from sr.models.espcn import ESPCN
from sr.runs import checkpoint
from sr.runs.folder import tell_unfinished
from sr.runs.record import record

COMMANDS = {
    "evaluate": ["evaluate.py", "checkpoint={}", "data=[bundled]", "panels=0", "metrics=[psnr]"],
    "figure": ["figure.py", "figure=filters", "checkpoint={}"],
    "export": ["export.py", "model={}", "formats=safetensors", "output=files"],
}


@pytest.fixture
def stopped(tmp_path):
    model, node = ESPCN(2), {"_target_": "sr.models.espcn.ESPCN", "scale": 2}
    (tmp_path / "stopped/checkpoints").mkdir(parents=True)
    content = {"state_dict": model.state_dict(), "sr": checkpoint.describe(node, "espcn", {})}
    torch.save(content, tmp_path / "stopped/checkpoints/last.ckpt")
    record(tmp_path / "stopped", "interrupted", steps=1200)
    return tmp_path / "stopped"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_a_run_that_was_stopped_says_so_once(command, stopped, name):
    if name == "export":
        pytest.importorskip("safetensors")
    script, *words = (word.format(stopped) for word in COMMANDS[name])
    done = command(script, *words)
    told = f"warning: the run {stopped} is not finished: it is interrupted, 1,200 steps done"
    assert done.code == 0 and done.out.count(told) == 1, done


@pytest.mark.parametrize(("status", "told"), [("finished", ""), ("failed", "failed"), ("running", "interrupted")])
def test_what_is_told_is_how_the_run_is(tmp_path, caplog, status, told):
    record(tmp_path, status)
    tell_unfinished(tmp_path)
    assert caplog.messages == ([f"warning: the run {tmp_path} is not finished: it is {told}"] if told else [])


def test_nothing_is_told_of_what_is_no_run_or_did_not_record_how_it_is(tmp_path, caplog):
    tell_unfinished(None)
    tell_unfinished(tmp_path)
    assert not caplog.messages
