"""Files of SPAN and DISP, merged and as trained, against their networks written down once more from its names."""

import pytest
import torch
from torch.nn import functional as F

from sr.zoo.load import load

MEAN = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None]


def conv3xc(state, name, x):
    """What the file holds of it: one 3x3, or the branches on an input that is framed with zeros beforehand."""

    def conv(part, x):
        return F.conv2d(x, state[f"{name}.{part}.weight"], state[f"{name}.{part}.bias"])

    if f"{name}.sk.weight" not in state:
        return conv("eval_conv", F.pad(x, (1, 1, 1, 1)))
    return conv("conv.2", conv("conv.1", conv("conv.0", F.pad(x, (1, 1, 1, 1))))) + conv("sk", x)


def pointwise(state, name, x):
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])


def tail(state, x, scale):
    return F.pixel_shuffle(F.conv2d(x, state["upsampler.0.weight"], state["upsampler.0.bias"], padding=1), scale)


def span(state, x, scale, blocks):
    head = y = conv3xc(state, "conv_1", (x - MEAN) * 255)
    outputs = []
    for n in range(1, blocks + 1):
        a = conv3xc(state, f"block_{n}.c1_r", y)
        inner = a * torch.sigmoid(a)
        b = conv3xc(state, f"block_{n}.c2_r", inner)
        o = conv3xc(state, f"block_{n}.c3_r", b * torch.sigmoid(b))
        y = (o + y) * (torch.sigmoid(o) - 0.5)
        outputs.append(y)
    joined = torch.cat([head, conv3xc(state, "conv_2", y), outputs[0], inner], 1)
    return tail(state, pointwise(state, "conv_cat", joined), scale)


def disp(state, x, scale, blocks):
    head = y = conv3xc(state, "conv_1", x)
    for n in range(blocks):
        z = y
        for part in ("c1_r", "c2_r", "_extern_conv_block.0", "c3_r"):
            a = conv3xc(state, f"blocks.{n}.{part}", z)
            z = a * torch.sigmoid(a)
        y = z + y
    return tail(state, pointwise(state, "conv_2", y) + head, scale)


@pytest.mark.parametrize("name", ["SPAN", "SPAN as trained", "DISP", "DISP as trained"])
def test_a_file_is_the_network_of_its_authors(authors_file, name, tmp_path):
    scales = {"SPAN": 3, "SPAN as trained": 2, "DISP": 2, "DISP as trained": 4}
    blocks = {"SPAN": 2, "SPAN as trained": 3, "DISP": 3, "DISP as trained": 2}

    def kept(state):  # the authors' code keeps beside what is trained what it merged to last, of old weights
        if name.endswith("trained"):
            for key in [k for k in state if ".sk." in k]:
                wide = torch.zeros(*state[key].shape[:2], 3, 3) if state[key].ndim == 4 else state[key]
                state[key.replace("sk", "eval_conv")] = wide
        return state

    path, _ = authors_file(name, "file.pth", kept)
    state = torch.load(path, weights_only=True)
    model = load(str(path), tmp_path, range_="own").model
    x = torch.rand(1, 3, 9, 11)
    with torch.no_grad():
        wanted = (span if name.startswith("SPAN") else disp)(state, x, scales[name], blocks[name])
        torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.merged()(x), wanted, rtol=1e-4, atol=1e-4)
    assert wanted.std() > 0.01
