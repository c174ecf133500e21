"""The short schedule that a budget of minutes gives a run from scratch, and the runs whose own one it leaves."""

import logging

import hydra
import pytest
import yaml
from omegaconf import open_dict
from small_runs import same, saved

from sr.callbacks import Checkpoints
from sr.compose.conf import CONF
from sr.compose.keys import recorded_choices
from sr.compose.schema import register
from sr.compose.words import Words
from sr.models.fsrcnn import FSRCNN
from sr.models.rlfn import RLFN
from sr.sweeps.ablation_rows import with_rows
from sr.training import budget, short, timing

MUON, ADAM = "sr.training.muon.Muon", "torch.optim.Adam"
SEEN = ["data=div2k", "benchmarks=[]", "callbacks=[]", "trainer.accelerator=cpu", "scale=2", "budget=minutes"]


@pytest.fixture
def typed(div2k, monkeypatch):
    """Six steps for the budget of minutes."""
    monkeypatch.setattr(timing, "step_seconds", lambda *_: 42.0)
    return [*SEEN, f"data.root={div2k}"]


def trained_with(folder):
    return saved(folder)["sr"]["config"]


def test_a_budget_of_minutes_takes_a_short_schedule_says_so_and_keeps_it_across_a_resume(command, typed, monkeypatch):
    typed += ["model=ecbsr_m4c8", "budget.short.max_patch=8", "budget.short.max_batch=2", "save_every_steps=1"]

    def die(self, trainer, *_, **__):
        if trainer.global_step == 4:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_start", die)
        cut = command("train.py", *typed, folder="cut")
    assert cut.code == 1 and "killed" in cut.err, cut
    assert "budget=minutes: optimizer Adam 0.0005 -> Muon 0.001" in cut.out
    assert "batch_size 32 -> 2 images" in cut.out and "patch_size 64 -> 8 LR pixels" in cut.out
    record = yaml.safe_load((cut.folder / "composed.yaml").read_text())["config"]
    assert record["optimizer"]["_target_"] == ADAM and record["budget"]["short"]["taken"] is True

    assert command("train.py", f"resume={cut.folder}").code == 0
    whole = command("train.py", *typed, folder="whole")
    assert whole.code == 0, whole
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(saved(cut.folder)[key], saved(whole.folder)[key]), key
    assert saved(whole.folder)["global_step"] == 6 and saved(whole.folder)["lr_schedulers"][0]["_last_lr"] == [0.0]
    config = trained_with(cut.folder)
    assert (config["optimizer"]["_target_"], config["batch_size"], config["patch_size"]) == (MUON, 2, 8)
    assert config["scheduler"]["then"]["T_max"] + config["scheduler"]["warm_up_steps"] == config["steps"] == 6


KEPT = {
    "scheduler.gamma was typed": ["model=edsr_baseline", "scheduler.gamma=0.4"],
    "optimizer was typed": ["model=edsr_baseline", "optimizer=adam"],
    "parameter_groups was typed": ["model=srcnn", "+parameter_groups={reconstruct: {lr_factor: 0.1}}"],
    "ablation=l1_l2/l1 may be about it": ["model=srresnet", "ablation=l1_l2/l1"],
    "experiment=demo may be about it": ["experiment=demo"],
    "the recipe has stages": ["model=rlfn_s"],
    "it begins from weights that are there": ["model=edsr_baseline", "init_from=last.ckpt"],
    "its loss trains a network of its own": ["model=srresnet", "loss=adversarial"],
    "callbacks.adjustable_clipping bounds its steps, but not those of Muon 0.001": ["model=drcn"],
    "": ["model=edsr_baseline", "recipe=edsr"],
    " ": ["model=edsr_baseline", "budget.short=null"],
    "  ": ["model=edsr_baseline", "trainer.accelerator=gpu"],
}


def composed(words):
    """The config that a run is planned from, and what was typed."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("train", [*words, "budget=minutes", "logger=csv"], return_hydra_config=True)
    with open_dict(cfg):
        cfg.choices = recorded_choices(cfg.hydra.runtime.choices)
        del cfg["hydra"]
    typed = Words(words).keys
    return short.decided(cfg, typed), typed


@pytest.fixture
def ablation():
    words, *_ = with_rows(Words(["ablation=l1_l2/l1"]), [], False)
    assert words


@pytest.mark.parametrize(("why", "words"), KEPT.items())
def test_the_recipes_own_schedule_is_kept_where_the_run_may_be_about_it(caplog, ablation, why, words):
    register()
    cfg, typed = composed(words)
    with caplog.at_level(logging.INFO):
        assert short.shortened(cfg, typed) == cfg
    assert why.strip() in caplog.text and bool(caplog.text) == bool(why.strip())


def test_a_recipe_without_its_clipping_takes_the_short_schedule():
    register()
    for words in (["model=drcn"], ["model=vdsr", "scale=2"]):
        cfg, typed = composed([*words, "~callbacks.adjustable_clipping", "trainer.accelerator=cpu"])
        assert short.shortened(cfg, typed).optimizer._target_ == MUON, words


def test_what_was_typed_of_the_sizes_wins_and_shares_of_another_rate_go_with_it(caplog):
    register()
    cfg, typed = composed(["model=fsrcnn", "batch_size=64", "trainer.accelerator=cpu"])
    assert cfg.parameter_groups
    with caplog.at_level(logging.INFO):
        cfg = budget.shrunk(cfg, FSRCNN, typed)
    assert cfg.optimizer._target_ == MUON and cfg.parameter_groups == {} and "parameter_groups deconv" in caplog.text
    assert (cfg.batch_size, cfg.hr_patch_size) == (64, 33)  # at most 24 LR pixels, as they are
    forced, typed = composed(["model=rlfn", "recipe=rlfn_stage", "budget.short.taken=true"])
    forced = budget.shrunk(forced, RLFN, typed)
    assert (forced.batch_size, forced.hr_patch_size, forced.patch_size) == (16, None, 24)
