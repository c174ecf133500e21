"""Every file of conf/loss: it composes, passes the check of arguments, is finite and teaches the network."""

from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from sr.compose.checks import check_targets
from sr.errors import UserError
from sr.losses import Hinge, LeastSquares, Relativistic, SRGANDiscriminator, Vanilla, VGGStyleDiscriminator

CONF = Path(__file__).resolve().parents[2] / "conf"
LOSSES = sorted(p.stem for p in (CONF / "loss").glob("*.yaml"))


@pytest.fixture
def composed(vgg_file):
    """composed("loss=srgan", ...) -> the config of a run with one loss, and one for a stage to choose."""
    groups = [{"loss": "l1"}, {"loss@losses.later": "l1"}, {"optimizer": "adam"}, {"scheduler": "halve"}, "_self_"]
    keys = {"vgg_weights": str(vgg_file), "teacher": None, "scale": 4, "zoo": {"dir": "nowhere"}}
    keys["zoo"] |= {"download": False, "range": None, "order": None}
    ConfigStore.instance().store("loss_test", {"defaults": groups, **keys})

    def compose(*overrides):
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("loss_test", overrides=list(overrides))

    return compose


def built(cfg):
    check_targets(OmegaConf.to_container(cfg, resolve=True))
    return hydra.utils.instantiate(cfg.loss, _convert_="all")


def batch(batch_size=2, channels=3):
    torch.manual_seed(0)
    hr = torch.rand(batch_size, channels, 32, 32)
    sr = (hr + 0.1 * torch.randn_like(hr)).requires_grad_()
    return sr, hr, torch.nn.functional.avg_pool2d(hr, 4)


@pytest.mark.parametrize("name", LOSSES)
def test_every_term_is_finite_and_reaches_the_output(composed, name):
    cfg = composed(f"loss={name}", f"loss@losses.later={name}")
    assert cfg.losses.later == cfg.loss  # also where a stage chooses it
    assert "value_range" in cfg.loss
    loss, (sr, hr, lr) = built(cfg), batch()
    loss.train()
    terms = loss(sr, hr, lr)
    assert terms and set(terms) == {k for k, v in cfg.loss.terms.items() if v is not None}
    for term, value in terms.items():
        (gradient,) = torch.autograd.grad(value, sr, retain_graph=True)
        assert value.ndim == 0 and value.isfinite() and gradient.isfinite().all() and gradient.abs().sum() > 0, term
    adversary = loss.adversary
    assert all(p.grad is None for p in loss.parameters())
    assert (adversary is None) == (not list(loss.parameters()))
    if adversary is not None:
        adversary.discriminator_loss(sr, hr).backward()
        assert all(p.grad is not None for p in adversary.discriminator.parameters())


@pytest.mark.parametrize(
    "name",
    [
        "charbonnier",
        "charbonnier_sum",
        "l1",
        "l1_contrastive",
        "l1_contrastive_vgg",
        "l2",
        "l2_sum",
        "vgg22",
        "vgg22_tv",
        "vgg54",
    ],
)
def test_losses_without_a_discriminator_serve_networks_on_luma(composed, name):
    sr, hr, lr = batch(channels=1)
    torch.stack(list(built(composed(f"loss={name}"))(sr, hr, lr).values())).sum().backward()
    assert sr.grad.abs().sum() > 0


def test_the_discriminator_follows_the_runs_optimizer_unless_told(composed):
    cfg = composed("loss=srgan", "optimizer.lr=0.25", "scheduler.step_size=3")
    adversary = built(cfg).adversary
    optimizer = adversary.optimizer(adversary.discriminator.parameters())
    scheduler = adversary.scheduler(optimizer)
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.param_groups[0]["lr"] == 0.25
    assert isinstance(scheduler, torch.optim.lr_scheduler.StepLR) and scheduler.step_size == 3
    own = "{_target_: torch.optim.SGD, _partial_: true, lr: 0.5}"
    adversary = built(composed("loss=srgan", f"loss.terms.adversarial.loss.optimizer={own}")).adversary
    assert isinstance(adversary.optimizer(adversary.discriminator.parameters()), torch.optim.SGD)


def test_the_papers_discriminators_and_criteria(composed):
    for name, kind, pooled in (("srgan", SRGANDiscriminator, 6), ("srgan_note", SRGANDiscriminator, 1)):
        net = built(composed(f"loss={name}")).adversary.discriminator
        assert isinstance(net, kind) and net.classify[0].output_size == pooled and net.signed == (pooled == 6)
    assert isinstance(built(composed("loss=msrgan")).adversary.discriminator, VGGStyleDiscriminator)
    for kind in (Vanilla, LeastSquares, Hinge, Relativistic):
        typed = f"loss.terms.adversarial.loss.criterion._target_=sr.losses.{kind.__name__}"
        assert isinstance(built(composed("loss=adversarial", typed)).adversary.criterion, kind)


def test_the_papers_layers(composed):
    for name, layers in (("vgg54", {"relu5_4": 1}), ("vgg22", {"relu2_2": 1}), ("msrgan", {"conv5_4": 1})):
        assert built(composed(f"loss={name}")).losses["vgg"].layers == layers
    extractor = built(composed("loss=l1_contrastive_vgg")).losses["contrastive"].extractor
    assert extractor.layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1") and not extractor.normalize


def test_values_of_the_papers_units(composed):
    sr, hr, lr = (x.detach() for x in batch())
    difference = (sr - hr).double()
    terms = built(composed("loss=srgan_mse"))(sr, hr, lr)
    assert float(terms["l2"]) == pytest.approx(float(((2 * difference) ** 2).mean()), rel=1e-5)  # [-1, 1]
    terms = built(composed("loss=l1_contrastive"))(sr, hr, lr)
    assert float(terms["l1"]) == pytest.approx(255 * float(difference.abs().mean()), rel=1e-5)
    terms = built(composed("loss=l2_sum"))(sr, hr, lr)
    assert float(terms["l2"]) == pytest.approx(0.5 * float((difference**2).sum()) / 2, rel=1e-5)
    terms = built(composed("loss=charbonnier_sum"))(sr, hr, lr)
    assert float(terms["charbonnier"]) == pytest.approx(float((difference**2 + 1e-6).sqrt().sum()) / 2, rel=1e-5)


def test_a_range_typed_for_the_pixel_terms_leaves_vggs_own_alone(composed):
    sr, hr, lr = (x.detach() for x in batch())
    plain, ranged = (built(composed("loss=msrgan", f"loss.value_range={r}"))(sr, hr, lr) for r in (1, 255))
    assert float(ranged["l1"]) == pytest.approx(255 * float(plain["l1"]), rel=1e-5)
    assert float(ranged["vgg"]) == float(plain["vgg"])


def test_a_missing_weight_file_is_said_when_the_loss_is_built(composed, tmp_path):
    with pytest.raises(hydra.errors.InstantiationException) as error:
        built(composed("loss=srgan", f"vgg_weights={tmp_path}/none.pth"))
    assert isinstance(error.value.__cause__, UserError) and "vgg_weights=PATH" in str(error.value)
