"""formats=spandrel: what programs on spandrel take for networks that they know."""

import networks as nets
import numpy as np
import pytest
import torch
from torch import nn

from sr.compose.common_schema import Zoo
from sr.errors import UserError
from sr.forms.deployed import Exported
from sr.forms.for_spandrel import for_spandrel
from sr.forms.formats import FORMATS
from sr.runs import safetensors
from sr.zoo.load import beginning, load
from sr.zoo.spandrel_file import SpandrelResolver, library


class Compact(nn.Module):
    """SRVGGNetCompact, of its description."""

    def __init__(self, channels, convolutions, scale):
        super().__init__()
        layers = [nn.Conv2d(3, channels, 3, 1, 1), nn.PReLU(channels)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, channels, 3, 1, 1), nn.PReLU(channels)]
        self.body, self.scale = nn.Sequential(*layers, nn.Conv2d(channels, 3 * scale**2, 3, 1, 1)), scale

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.body(x), self.scale) + x.repeat_interleave(
            self.scale, -1
        ).repeat_interleave(self.scale, -2)


PLAIN = [n for n in nets.NAMES if n.startswith(("plain", "repsr")) or n == "ecbsr_m4c16_rgb"]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_convolutions_are_the_compact_network(name):
    scale = nets.scales(name)[-1]
    model = nets.build(name, scale, small=True)
    nets.used(model)
    state, lr = for_spandrel(model), torch.rand(2, 3, 9, 14)
    other = Compact(len(state["body.0.bias"]), (len(state) - 5) // 3, scale)
    other.load_state_dict(state)  # strictly
    with torch.no_grad():
        wanted = model(lr)
        torch.testing.assert_close(other(lr), wanted, rtol=0, atol=1e-5 * max(1.0, float(wanted.abs().max())))


@pytest.mark.parametrize("name", ["rcan", "rrdbnet", "swinir_light", "span"])
def test_others_stand_under_their_authors_names(name, tmp_path):
    scale = nets.scales(name)[-1]
    model = nets.build(name, scale, small=True, **({"num_blocks": 6} if name == "span" else {}))
    nets.used(model)
    file, lr = tmp_path / "a.safetensors", torch.rand(2, 3, 24, 31)
    what = Exported(model, name, scale)
    with torch.no_grad():
        FORMATS["spandrel"].write(file, what, 18)
        wanted = model(lr)
        runs = [FORMATS["spandrel"].reader(file, what), load(str(file), tmp_path).model]
        if (spandrel := library()) is not None:
            descriptor = spandrel.ModelLoader().load_from_file(file)
            runs.append(SpandrelResolver(descriptor, file).eval())
        for run in runs:
            torch.testing.assert_close(run(lr), wanted, rtol=0, atol=1e-5 * max(1.0, float(wanted.abs().max())))


@torch.no_grad()
def test_what_was_written_is_read_as_it_was_written(tmp_path):
    """On the photo these weights do less than bicubic, so that another range would do better."""
    written = pytest.importorskip("safetensors.torch")
    model = nets.build("plain", 2, small=True)
    nets.used(model)
    file, lr = tmp_path / "a.safetensors", torch.rand(1, 3, 9, 14)
    FORMATS["spandrel"].write(file, Exported(model, "a", 2), 18)
    torch.testing.assert_close(load(str(file), tmp_path).model(lr), model(lr), rtol=1e-5, atol=1e-5)
    begun = beginning(str(file), Zoo(), 2)
    assert not begun["sr"]["reads"], "it may be trained on"
    state, told = safetensors.read(file)
    written.save_file(state, file, {key: value for key, value in told.items() if key != safetensors.CHECKSUM})
    assert load(str(file), tmp_path).model.reads is not None, "anybody's: it was tried on the photo"
    written.save_file(state, file, told | {"range": "0-255"})
    with pytest.raises(UserError, match="is damaged"):
        load(str(file), tmp_path)


@pytest.mark.parametrize("name", ["rlfn", "ecbsr_m4c16", "span"])
def test_what_is_no_such_network_is_refused(name):
    with pytest.raises(UserError, match="programs on spandrel know no"):
        for_spandrel(nets.build(name, 2, small=True))


def test_it_is_written_and_another_is_told(command, network, tmp_path):
    pytest.importorskip("safetensors")
    done = command("export.py", f"model={network}", "formats=spandrel", f"output={tmp_path / 'files'}")
    assert done.code == 0 and "small_x2_spandrel.safetensors: " in done.out, done
    state, told = safetensors.read(tmp_path / "files/small_x2_spandrel.safetensors")
    assert told["scale"] == "2" and [f"body.{n}.weight" for n in range(5)] == [k for k in state if "weight" in k]
    words = ["model=plain_m10c32_x2", "formats=spandrel", "half=true", f"output={tmp_path / 'files'}"]
    done = command("export.py", *words, folder="b")
    assert done.code == 0, done
    state, _ = safetensors.read(tmp_path / "files/plain_m10c32_x2_fp16_spandrel.safetensors")
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert sum(np.prod(value.shape) for value in state.values()) == 97_196
