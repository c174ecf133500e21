"""The weighted sum: names, ranges, terms left out, the LR image, the adversary."""

import numpy as np
import pytest
import torch
from torch import nn

from sr.errors import UserError
from sr.losses import Adversarial, Vanilla, WeightedSum


def adversary():
    return Adversarial(nn.Conv2d(3, 1, 3), Vanilla(), torch.optim.Adam, torch.optim.lr_scheduler.ConstantLR)


class Compared(nn.Module):
    """Keeps what it was called with."""

    uses_lr = True

    def forward(self, sr, hr, lr):
        self.seen = sr, hr, lr
        return (sr.mean() - hr.mean()) * lr.mean()


def test_terms_are_weighted_named_and_in_the_papers_range(pair):
    loss = WeightedSum(
        {"l1": {"weight": 2.0, "loss": nn.L1Loss()}, "l2": {"weight": 0.5, "loss": nn.MSELoss()}}, value_range=255
    )
    terms = loss(*map(torch.from_numpy, pair))
    difference = 255 * (pair[0] - pair[1])
    assert float(terms["l1"]) == pytest.approx(2 * np.abs(difference).mean(), rel=1e-12)
    assert float(terms["l2"]) == pytest.approx(0.5 * (difference**2).mean(), rel=1e-12)


def test_a_term_that_is_no_one_number_is_named(pair):
    """Its mean forgotten: a traceback, of all terms stacked."""
    loss = WeightedSum({"l1": {"weight": 1.0, "loss": nn.L1Loss(reduction="none")}})
    with pytest.raises(UserError, match=r"loss\.terms\.l1 returns \(.*\): one number is wanted"):
        loss(*map(torch.from_numpy, pair))


@pytest.mark.parametrize(
    ("term", "told"),
    [
        (lambda sr, hr: (sr - hr).abs().mean().item(), r"returns a float: one number is wanted"),
        (lambda sr, hr: (sr - hr.mul_(0.5)).abs().mean(), r"changes the images that it is given"),
        (lambda sr, hr: (sr - hr.data.mul_(0.5)).abs().mean(), r"changes the images that it is given"),
        (lambda sr, hr: sr.mean() * float(hr.numpy().__imul__(0).sum()), r"changes the images that it is given"),
    ],
)
def test_ordinary_mistakes_in_a_loss_of_ones_own_are_named(pair, term, told):
    """Traced back, logged as if it was trained, or spoiling the target of the terms after it."""
    own = nn.Module()
    own.forward = term
    loss = WeightedSum({"own": {"weight": 0.5, "loss": own}, "l1": {"weight": 1.0, "loss": nn.L1Loss()}})
    sr, hr = map(torch.from_numpy, pair)
    with pytest.raises(UserError, match=rf"loss\.terms\.own {told}"):
        loss(sr.requires_grad_() * 1, hr)


def test_what_has_no_gradient_is_told_and_alone_refused(pair, caplog):
    """It trained nothing and was logged as if; but a term may have nothing to say of some images."""
    own, sr, hr = nn.Module(), *map(torch.from_numpy, pair)
    own.forward = lambda sr, hr: (sr.detach() - hr).abs().mean()
    terms = {"still": {"weight": 0.0, "loss": own}, "l1": {"weight": 1.0, "loss": nn.L1Loss()}}
    WeightedSum(terms)(sr.requires_grad_() * 1, hr)
    assert not caplog.records
    terms["still"]["weight"] = 0.5
    WeightedSum(terms)(sr.requires_grad_() * 1, hr)
    assert "loss.terms.still has no gradient" in caplog.text
    own.forward = lambda sr, hr: ((255 * sr).round() - hr).abs().mean()
    terms["still"]["weight"] = 1e-9
    WeightedSum(terms)(sr.half() * 1, hr.half())
    assert "gradient of loss.terms.still is 0 at every pixel" in caplog.text and "terms.l1" not in caplog.text
    own.forward = lambda sr, hr: (sr.detach() - hr).abs().mean()
    with pytest.raises(UserError, match="no term of the loss has a gradient: nothing can be learned from still"):
        WeightedSum({"still": terms["still"]})(sr.requires_grad_() * 1, hr)


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (lambda sr, lr, hr: 0, r"forward\(sr, lr, hr\) of Module has its images in another order"),
        (lambda hr, sr: 0, "in another order"),
        (lambda sr, hr, lr: 0, "takes lr: give the class uses_lr = True"),
    ],
)
def test_a_loss_whose_images_have_another_order_is_refused(forward, told):
    """LR was compared as if it was HR, where sizes allow it."""
    own = nn.Module()
    own.forward = forward
    with pytest.raises(UserError, match=told):
        WeightedSum({"own": {"weight": 1.0, "loss": own}})


def test_a_term_may_have_a_range_of_its_own_and_may_see_lr(pair, images):
    compared, lr = Compared(), images(2, 3, 2, 3)
    loss = WeightedSum(
        {"l1": {"weight": 1, "loss": nn.L1Loss()}, "own": {"weight": 3, "loss": compared, "value_range": 2.0}}, 255
    )
    sr, hr = map(torch.from_numpy, pair)
    terms = loss(sr, hr, lr)
    for seen, image in zip(compared.seen, (sr, hr, lr), strict=True):
        assert torch.equal(seen, 2 * image)
    assert float(terms["own"]) == pytest.approx(3 * 4 * (pair[0].mean() - pair[1].mean()) * float(lr.mean()), rel=1e-12)
    assert float(terms["l1"]) == pytest.approx(255 * np.abs(pair[0] - pair[1]).mean(), rel=1e-12)
    with pytest.raises(UserError, match="own compares with the LR image"):
        loss(sr, hr)


def test_a_null_term_is_left_out(pair):
    loss = WeightedSum({"l1": {"weight": 1.0, "loss": nn.L1Loss()}, "l2": None})
    assert list(loss(*map(torch.from_numpy, pair))) == ["l1"] and list(loss.losses) == ["l1"]


@pytest.mark.parametrize("terms", [{}, {"l1": None}])
def test_no_term_at_all_is_refused(terms):
    with pytest.raises(UserError, match="no term left"):
        WeightedSum(terms)


def test_an_incomplete_term_is_refused():
    with pytest.raises(UserError, match=r"loss\.terms\.l1 has no weight"):
        WeightedSum({"l1": {"loss": nn.L1Loss()}})


def test_the_adversary_is_found_and_there_is_at_most_one():
    pixel = {"weight": 1.0, "loss": nn.L1Loss()}
    assert WeightedSum({"l1": pixel}).adversary is None
    gan = adversary()
    assert WeightedSum({"l1": pixel, "gan": {"weight": 1e-3, "loss": gan}}).adversary is gan
    with pytest.raises(UserError, match=r"adversaries gan, gan2.*loss\.terms\.gan2=null"):
        WeightedSum({"gan": {"weight": 1, "loss": gan}, "gan2": {"weight": 1, "loss": adversary()}})
