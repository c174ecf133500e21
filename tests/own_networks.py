"""Networks of another repository, as their files would be."""

NETWORK = '''
"""Somebody's network, which knows nothing of this project: BGR in 0-255, sides that 4 divides."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, upscale, width=4):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.last = nn.Conv2d(width, 3 * upscale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(upscale)

    def forward(self, x):
        assert x.shape[-1] % 4 == x.shape[-2] % 4 == 0
        return self.shuffle(self.last(torch.relu(self.first(x))))


class Pair(Net):
    def forward(self, x):
        return super().forward(x), x


def make(upscale):
    return Net(upscale)
'''
