"""Whose an error in the first step after a resume is."""

import pytest
import torch

from sr.training.fit import _by_optimizer


def raised(step):
    with pytest.raises(RuntimeError) as caught:
        step()
    return caught.value


def test_what_fails_in_the_network_is_not_the_optimizer_s():
    """Lightning calls the network from within the optimizer's step."""
    network = torch.nn.Conv2d(3, 3, 1)
    optimizer = torch.optim.Adam(network.parameters())

    def closure():
        network(torch.zeros(1, 4, 2, 2))

    assert not _by_optimizer(raised(lambda: optimizer.step(closure)))
    network(torch.zeros(1, 3, 2, 2)).sum().backward()
    optimizer.step()
    optimizer.state[network.weight]["exp_avg"] = torch.zeros(7)
    assert _by_optimizer(raised(optimizer.step))
