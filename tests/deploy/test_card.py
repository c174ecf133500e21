"""formats=hub: weights in a folder as hubs of models take it, with a card that tells what the run knows."""

import hashlib
import json
import os
import shutil

import pytest
import torch
from at_once import at_once

import sr
from sr.deploy.card import CARD, Known, known, text
from sr.deploy.card import write as write_card
from sr.forms.deployed import Exported
from sr.runs import checkpoint
from sr.scores.results import write
from sr.scores.score import Score

pytest.importorskip("safetensors")


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    """The folder of a run of one's own that ended with this network and was measured."""
    monkeypatch.setenv("SR_TRUST", f"{tmp_path}/")
    content = torch.load(network, weights_only=True) | {"global_step": 12_000}
    content["sr"]["config"] = {
        "choices": {"data": "div2k", "degradation": "bicubic", "recipe": "ecbsr"}, "batch_size": 16, "patch_size": 48,
        "seed": 3, "init_from": "/home/somebody/secret/earlier.ckpt", "data_dir": "/home/somebody/data",
    }  # fmt: skip
    (tmp_path / "trained/checkpoints").mkdir(parents=True)
    torch.save(content, tmp_path / "trained/checkpoints/last.ckpt")
    figures = {"bicubic": 33.66, "small": 36.5, "small (first)": 35.0}
    write([Score(m, "A|B", 2, "y", "psnr", v, 5) for m, v in figures.items()], tmp_path / "trained")
    return tmp_path / "trained"


def test_a_folder_for_a_hub(command, run, network, tmp_path):
    words = [f"model={run}", "formats=hub", f"output={tmp_path / 'out'}"]
    outcome = command("export.py", *words)
    assert outcome.code == 0 and "no licence of these weights is stated" in outcome.out, outcome
    folder = tmp_path / "out/small_x2"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    arguments = json.loads((folder / "config.json").read_text())
    assert arguments == {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "colors": 3, "num_blocks": 1, "channels": 8}
    told = (folder / "README.md").read_text()
    assert told.startswith("---\nlicense: unknown\n") and "## Licence of the weights\n\nNot stated.\n" in told
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() in told
    for row in ("| data | div2k |", "| recipe | ecbsr |", "| steps | 12,000 |", "| batch size | 16 |",
                "| began from | earlier.ckpt |", "| A\\|B | 5 | `y` | 33.66 | 36.50 |"):  # fmt: skip
        assert row in told, told
    assert "/home" not in told + (folder / "model.safetensors").read_bytes().decode("latin-1") and "first" not in told
    (folder / "new").touch()
    assert len({p.stat().st_mode for p in folder.iterdir()}) == 1, "others may read what is given to them"
    (folder / "new").unlink()
    same = command("export.py", *words, "overwrite=true")
    assert same.code == 0 and "left as it is: remove it" in same.out and "warning" not in same.out + same.err, same
    lr = torch.rand(1, 3, 8, 9)
    with torch.inference_mode():
        torch.testing.assert_close(sr.load(folder)(lr), checkpoint.load(network)(lr), rtol=0, atol=1e-6)

    (folder / "README.md").write_text("mine")
    refused = command("export.py", *words)
    assert refused.code == 1 and "is there already. Type overwrite=true" in refused.err
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    refused = command("export.py", *words)
    assert refused.code == 1 and "README.md is there already" in refused.err and len(list(folder.iterdir())) == 1
    again = command("export.py", *words, "overwrite=true")
    assert again.code == 0 and "left as it is, but does not tell of these weights" in again.out + again.err, again
    assert (folder / "README.md").read_text() == "mine" and (folder / "model.safetensors").is_file()


def test_a_strangers_figures_stand_in_no_card(run, monkeypatch, caplog):
    """They were published under the user's name."""
    last = run / "checkpoints/last.ckpt"
    assert known(last, 2).scores
    monkeypatch.setenv("SR_TRUST", "")
    assert not known(last, 2).scores and "nothing shows that you began that run here" in caplog.text


def test_a_card_tells_of_lr_that_is_not_the_papers(network, run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    what = Exported(checkpoint.load(network), "small", 2)
    kinds = {"made by MatlabBicubic, Jpeg": "made by MatlabBicubic, Jpeg", "read from secret/own": "read from files"}
    for lr, told in (kinds | {"bicubic": "", "bicubic, read from LR_bicubic/X2": "", "": ""}).items():
        card = text(tmp_path, what, Known(scores=[Score("small", "Set5", 2, "y", "psnr", 30.0, 5, lr=lr)]))
        assert ("LR of Set5" in card) == bool(told) and f"- LR of Set5: {told}" * bool(told) in card, card
        assert "secret" not in card


@pytest.mark.parametrize(
    ("typed", "config", "row"),
    [
        ([], {"hr_patch_size": 96, "scale": 4}, "| LR pixels a side of a crop | 24 |"),
        ([], {"hr_patch_size": 96, "scale": [2, 4]}, "| LR pixels a side of a crop | 48, 24 |"),
        (["patch_size=20"], {"hr_patch_size": 96, "scale": 4, "patch_size": 20}, "| LR pixels a side of a crop | 20 |"),
        (None, {"hr_patch_size": 96, "scale": 4}, ""),  # a copied folder without the record of what was typed
        ([], {"data": {"train_lr": "/home/LR"}}, "| degradation | none: LR was read from files |"),
        (  # it told the run's, which no stage had
            [],
            {"batch_size": 16, "patch_size": 48, "stages": {"a": {"patch_size": 20}, "b": {"batch_size": 4}}},
            "| stages | a, b |\n| batch size | 16; 4 |\n| LR pixels a side of a crop | 20; 48 |",
        ),
        ([], {"data": {"track": "wild"}}, "| degradation | track wild |"),
    ],
)
def test_a_card_tells_the_crops_and_the_lr_that_were_trained_on(network, run, tmp_path, typed, config, row):
    """Not base's patch_size beside a recipe's hr_patch_size, nor a degradation that made no LR."""
    file = run / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    content["sr"]["config"] |= config
    torch.save(content, file)
    if typed is not None:
        (run / "composed.yaml").write_text(json.dumps({"words": typed}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    told = text(tmp_path, Exported(checkpoint.load(network), "small", 2), known(run, 2))
    assert row in told and "/home" not in told, told
    assert ("| 48 |" in told) == (not config.keys() & {"hr_patch_size", "stages"}), told


def test_a_card_of_a_stage_s_weights_tells_of_it_and_those_before(run):
    """SRResNet, after SRGAN's first stage, was told to have seen both."""
    file = run / "checkpoints/stage1_a.ckpt"
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    content["sr"]["config"] |= {"stages": {"a": {}, "b": {"batch_size": 4}}}
    for number, told in ((1, ("a (of a, b)", "16")), (2, ("a, b", "16; 4"))):
        content["sr"]["stage"] = {"number": number, "of": 2, "name": "a", "begin": 0, "end": 1}
        torch.save(content, file)
        training = known(file, 2).training
        assert (training["stages"], training["batch size"]) == told


def test_a_card_tells_nothing_that_is_not_known(network, run, tmp_path):
    model = checkpoint.load(network)
    (tmp_path / "model.safetensors").write_bytes(b"")
    told = text(tmp_path, Exported(model, "small", 2), known(network, 2))
    assert "Nothing is told of it." in told and "None are known of these weights." in told
    shutil.copy(run / "checkpoints/last.ckpt", run / "checkpoints/best.ckpt")
    assert not known(run / "checkpoints/best.ckpt", 2).scores  # the figures are of the last one
    assert len(known(run, 2).scores) == 3 and known(None, 2) == Known()
    assert "dB, mean over images.\n" in text(tmp_path, Exported(model, "small", 2), known(run, 2))
    write([Score("small", "C", 2, "y", "psnr", 36.0, 1, f"c/{n}", clip="c") for n in range(2)], run)
    of_clips = text(tmp_path, Exported(model, "small", 2), known(run, 2))
    assert "mean over images, of clips over frames, then over clips." in of_clips
    write([Score("small", "C", 2, "y", "psnr", 36.0, 1, "0")], run)
    file = run / "results.csv"
    file.write_text(file.read_text().replace("36.", "46."))
    assert not known(run, 2).scores, "its images say otherwise"
    file.write_text("model,dataset\n1,2,3")
    assert known(run, 2).scores == [] and known("rlfn_x4", 4).licence == "Apache-2.0"
    authors = text(tmp_path, Exported(model, "imdn_x4", 2), known("imdn_x4", 4))
    assert "None is stated by github Zheng222/IMDN." in authors and "license: unknown" in authors


def test_a_strangers_words_are_text_in_the_card(network, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    about = Known(training={"data": "![t](http://x/t.png) `a` <b> \\| c"})
    told = text(tmp_path, Exported(checkpoint.load(network), "[a](javascript:1)", 2), about)
    assert "# \\[a\\](javascript:1) x2" in told
    assert "| data | !\\[t\\](http://x/t.png) \\`a\\` &lt;b> \\\\\\| c |" in told


@pytest.mark.parametrize("odd", ["pipe", "large"])
def test_a_card_that_is_none_is_left_and_not_read(network, tmp_path, caplog, odd):
    (tmp_path / "model.safetensors").touch()
    os.mkfifo(tmp_path / CARD) if odd == "pipe" else (tmp_path / CARD).touch()
    if odd == "large":
        os.truncate(tmp_path / CARD, 6 << 30)
    with at_once():
        write_card(tmp_path, Exported(checkpoint.load(network), "small", 2), Known())
    assert "does not tell of these weights" in caplog.text


def test_a_card_tells_what_a_mean_leaves_out_and_that_less_is_better(network, run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    what = Exported(checkpoint.load(network), "small", 2)
    scores = [Score("small", "Set5", 2, "y", "psnr", 30.0, 5, left_out=1), Score("small", "Set5", 2, "y", "niqe", 9, 5)]
    told = text(tmp_path, what, Known(scores=scores))
    assert (
        "(1 of 5 identical)" in told and "- identical: the output is HR itself" in told and "smaller is better" in told
    ), told
