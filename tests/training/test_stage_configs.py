"""A recipe's stages as configs of their own."""

import pytest
from omegaconf import OmegaConf

from sr.errors import UserError, told_once
from sr.training.stage_configs import patches, refuse_malformed, refuse_unused_losses, scales, stage_configs

ROOT = {
    "steps": 100,
    "scale": 4,
    "patch_size": 48,
    "hr_patch_size": None,
    "batch_size": 16,
    "loss": {"_target_": "a", "value_range": 255.0, "terms": {"l1": {"weight": 1.0}}},
    "losses": {"other": {"_target_": "b", "rate": "${optimizer.lr}"}},
    "optimizer": {"_target_": "adam", "lr": 1e-3, "eps": 1e-8},
    "scheduler": {"_target_": "cosine", "T_max": "${steps}"},
    "parameter_groups": {},
    "frozen": [],
    "trained": None,
    "init_from": None,
    "optimizer_state": "fresh",
    "stages": {},
}


def config(**changes):
    return OmegaConf.merge(OmegaConf.create(ROOT), changes)


def test_a_recipe_without_stages_is_one():
    (only,) = stage_configs(config(), set())
    assert (only.number, only.of, only.name, only.begin, only.end) == (1, 1, "", 0, 100)


def test_stages_come_in_order_with_their_own_steps_and_follow_interpolations():
    cfg = config(stages={"b": {"steps": 30}, "a": {}, "c": {"optimizer": {"lr": 1e-4}, "loss": "${losses.other}"}})
    first, second, third = stage_configs(cfg, set())
    assert [(s.name, s.begin, s.end) for s in (first, second, third)] == [("b", 0, 30), ("a", 30, 130), ("c", 130, 230)]
    assert first.cfg.scheduler.T_max == 30 and second.cfg.scheduler.T_max == 100
    assert third.cfg.optimizer == {"_target_": "adam", "lr": 1e-4, "eps": 1e-8}  # merged
    assert third.cfg.loss == {"_target_": "b", "rate": 1e-4}  # replaced, and the stage's own rate in it
    assert second.cfg.loss == ROOT["loss"] and cfg.optimizer.lr == 1e-3
    assert (first.cfg.init_from, second.cfg.init_from) == (None, "last")


def test_what_is_typed_at_the_root_holds_in_every_stage():
    cfg = config(steps=7, stages={"a": {"steps": 30, "optimizer": {"lr": 1e-4, "eps": 1.0}}, "b": {"loss": None}})
    first, second = stage_configs(cfg, {"steps", "optimizer.lr", "loss"})
    assert first.end == 7 and second.end == 14
    assert first.cfg.optimizer.lr == 1e-3 and first.cfg.optimizer.eps == 1.0
    assert second.cfg.loss == ROOT["loss"]


def test_what_is_typed_for_one_stage_goes_before_what_is_typed_for_all():
    cfg = config(steps=7, stages={"a": {"steps": 30}, "b": {"steps": 5, "optimizer": {"lr": 1e-5, "eps": 1.0}}})
    typed = {"steps", "optimizer.lr", "stages.b.steps", "stages.b.optimizer.lr"}
    first, second = stage_configs(cfg, typed)
    assert (first.end, second.end) == (7, 12) and (first.cfg.optimizer.lr, second.cfg.optimizer.lr) == (1e-3, 1e-5)
    first, second = stage_configs(cfg, {"steps", "stages"})  # as +stages={...} beside steps=7
    assert (first.end, second.end) == (30, 35)
    assert stage_configs(cfg, {"optimizer.eps", "stages.b.optimizer.lr"})[1].cfg.optimizer == {
        "_target_": "adam", "lr": 1e-5, "eps": 1e-8,
    }  # fmt: skip


def test_the_model_that_was_typed_is_changed_by_a_stage_but_for_what_was_typed_of_it():
    cfg = config(model={"_target_": "m", "tsa": True, "pcd": True}, stages={"a": {"model": {"tsa": False}}, "b": {}})
    first, second = stage_configs(cfg, {"model", "model.pcd"})  # as model=edvr_m model.pcd=true
    assert (first.cfg.model.tsa, second.cfg.model.tsa) == (False, True)
    first, _ = stage_configs(cfg, {"model", "model.tsa"})
    assert first.cfg.model.tsa


@pytest.mark.parametrize("typed", ["losses.mine._target_", "loss@losses.mine", "losses.mine.terms.l1.weight"])
def test_a_loss_that_was_typed_and_that_no_stage_takes_is_refused(typed):
    losses = {**ROOT["losses"], "mine": {"_target_": "c"}}
    cfg = config(losses=losses, stages={"a": {}, "b": {"loss": "${losses.other}"}})
    with pytest.raises(UserError, match=r"losses\.mine: no stage .*a, b: type 'stages\.b\.loss=\$\{losses\.mine\}'"):
        refuse_unused_losses(cfg, {"steps", typed})
    refuse_unused_losses(cfg, {"losses.other.rate"})
    with pytest.raises(UserError, match=r"losses\.other: no stage"):
        refuse_unused_losses(cfg, {"losses.other.rate", "loss"})  # what is typed for all stages wins
    for chosen in ({"a": {"loss": "${losses.mine}"}}, {"a": {"loss": {"terms": "${losses.mine.terms}"}}}):
        refuse_unused_losses(config(losses=losses, stages=chosen), {typed})
    with pytest.raises(UserError, match="no stages"):
        refuse_unused_losses(config(losses=losses), {typed})


def test_init_from_at_the_root_is_the_beginning_of_the_run():
    cfg = config(init_from="x.ckpt", stages={"a": {}, "b": {"init_from": "best"}, "c": {}})
    assert [s.cfg.init_from for s in stage_configs(cfg, {"init_from"})] == ["x.ckpt", "best", "last"]


@pytest.mark.parametrize(
    "node, told",
    [
        ({"step": 3}, "stages.a.step: a stage has no such key. Did you mean steps"),
        ({"steps": 0}, "steps=0 in stage a"),
        ({"optimizer_state": "old"}, "'fresh' and 'kept'"),
        ({"init_from": "best"}, "there is no stage before it"),
    ],
)
def test_a_wrong_stage_is_refused(node, told):
    with pytest.raises(UserError, match=told):
        stage_configs(config(stages={"a": node}), set())


@pytest.mark.parametrize("scale", [0, 2.5, "four", [], [2, "x"], True])
def test_a_scale_is_a_number_or_several(scale):
    with pytest.raises(UserError, match=r"scale=\[2,3,4\]"):
        scales(OmegaConf.create({"scale": scale}))


def test_hr_patches_are_divided_by_each_scale_unless_lr_patches_are_typed():
    cfg = OmegaConf.create({"scale": [2, 3, 4], "patch_size": 48, "hr_patch_size": 96})
    assert patches(cfg, set()) == {2: 48, 3: 32, 4: 24}
    assert patches(cfg, {"patch_size"}) == {2: 48, 3: 48, 4: 48}
    cfg.hr_patch_size = None
    assert patches(cfg, set()) == {2: 48, 3: 48, 4: 48}


def test_a_stage_that_is_null_is_refused_and_a_loss_that_it_loses_is_told(caplog):
    """It was trained as a stage without its settings; by loss=l2 a stage lost its contrastive loss, without a word."""
    with pytest.raises(UserError, match=r"type ~stages\.third"):
        refuse_malformed({"third": None})
    told_once.cache_clear()
    with caplog.at_level("INFO"):
        stage_configs(config(stages={"a": {}, "b": {"loss": "${losses.other}"}}), {"loss"})
    assert caplog.text.count("has no loss of its own, as loss= was typed") == 1 and "stage b has" in caplog.text
