"""The forms in which a network runs: the fastest that is exact is taken, what is not exact refused."""

import networks as nets
import numpy as np
import pytest
import torch
from conftest import photo
from hydra.utils import get_class
from PIL import Image

import sr
from sr.deploy.tiles import enlarge
from sr.errors import UserError
from sr.forms.running import AUTO, formed
from sr.models.bicubic import Bicubic
from sr.models.ecbsr import ECBSR
from sr.models.edvr import EDVR
from sr.models.rlfn import RLFN
from sr.runs.checkpoint import describe

FAST = ("espcn", "rlfn")
IMAGES = [n for n in nets.architectures() if not get_class(nets.node(n)["_target_"]).clips and n != "bicubic"]


def network(name: str):
    torch.manual_seed(0)
    s = nets.scales(name)[-1]
    model = nets.build(name, s if isinstance(nets.node(name)["scale"], str) else nets.scales(name), small=True)
    nets.used(model)
    return model, s


def in_channels_last(model) -> bool:
    weights = [w for w in model.parameters() if w.ndim == 4 and min(w.shape[1], w.shape[2]) > 1]
    return bool(weights) and all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in IMAGES])
def test_on_a_processor_every_network_runs_in_channels_last_and_is_exact(name):
    model, s = network(name)
    found, lr = formed(model, AUTO, s, "cpu"), torch.rand(1, 3, 13, 18)
    assert found.form == "channels_last" and in_channels_last(found.model) and not in_channels_last(model)
    with torch.inference_mode():
        whole = model(lr, s)
        torch.testing.assert_close(found.model(lr, s), whole, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(enlarge(found.model, lr, s, tile=16), whole, rtol=1e-5, atol=1e-5)


def test_what_has_no_other_form_or_was_not_measured_in_it_runs_as_it_is():
    assert formed(Bicubic(2), "bf16", 2, "cpu").form == "merged"
    of_clips = EDVR(channels=4, num_blocks=1, groups=2).eval()
    assert formed(of_clips, AUTO, 4, "cpu").form == "merged"
    for form in ("compiled", "bf16", "onnx"):
        with pytest.raises(UserError, match=f"form={form}: EDVR makes each frame of several"):
            formed(of_clips, form, 4, "cpu")


class Flat(ECBSR):
    """Looks at its features as lie in memory, which another layout does not allow."""

    def network(self, x, scale):
        y = super().network(x, scale)
        return y.view(y.shape[0], -1).view(y.shape) if y.is_contiguous() else self.other(y)

    def other(self, y):
        return y.view(-1).view(y.shape)


def flat():
    torch.manual_seed(0)
    return Flat(2, colors=3, num_blocks=1, channels=4).eval()


def test_a_network_that_needs_the_usual_layout_keeps_it():
    assert formed(flat(), AUTO, 2, "cpu").form == "merged"
    with pytest.raises(UserError, match=r"form=channels_last: view size is not compatible.*Leave form= out"):
        formed(flat(), "channels_last", 2, "cpu")


def test_a_layout_that_changes_the_result_is_not_taken():
    class Other(Flat):
        def other(self, y):
            return y * (1 + 1e-3)

    torch.manual_seed(0)
    model = Other(2, colors=3, num_blocks=1, channels=4).eval()
    assert formed(model, AUTO, 2, "cpu").form == "merged"
    with pytest.raises(UserError, match=r"from the network's, more than 1e-05"):
        formed(model, "channels_last", 2, "cpu")


def test_a_form_that_is_not_there_or_not_exact_is_refused():
    model, s = network("espcn")
    with pytest.raises(UserError, match=r"form=channel_last: there are auto, eager, .* Did you mean channels_last"):
        formed(model, "channel_last", s, "cpu")
    with pytest.raises(UserError, match="form=bf16: its result is"):
        formed(model, "bf16", s, "cpu")


@pytest.fixture
def file(tmp_path):
    node = {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "colors": 3, "num_blocks": 1, "channels": 8}
    torch.manual_seed(0)
    model = ECBSR(scale=2, colors=3, num_blocks=1, channels=8)
    torch.save({"state_dict": model.state_dict(), "sr": describe(node, "small", {})}, tmp_path / "small.ckpt")
    return tmp_path / "small.ckpt"


def test_evaluate_and_upscale_say_the_form_and_figures_stay(command, file, tmp_path):
    typed = [f"checkpoint={file}", "benchmarks=bundled", "panels=0"]
    ends = [command("evaluate.py", *typed, f"form={form}", folder=form) for form in (AUTO, "merged")]
    assert [end.code for end in ends] == [0, 0], ends
    assert "small runs in the form channels_last (exact to " in ends[0].out and "runs in" not in ends[1].out
    first, second = (np.genfromtxt(end.folder / "results.csv", delimiter=",", names=True, dtype=None) for end in ends)
    for name in ("psnr", "ssim"):
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=1e-4)
    Image.fromarray(photo(20, 30)).save(tmp_path / "p.png")
    done = command("upscale.py", f"input={tmp_path / 'p.png'}", f"model={file}", f"output={tmp_path / 'out'}")
    assert done.code == 0 and "by small in the form channels_last (exact to " in done.out, done
    wrong = command("upscale.py", f"input={tmp_path / 'p.png'}", f"model={file}", "form=onx")
    assert wrong.code == 1 and "Did you mean onnx" in wrong.err, wrong


def test_a_typed_form_takes_tensors_too(file):
    lr, eager, merged = torch.rand(1, 3, 9, 8), sr.load(file), sr.load(file, form="merged")
    assert eager.deployed(2).form == "channels_last" and merged.deployed(2).form == "merged"
    torch.testing.assert_close(merged(lr), eager(lr), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_onnx_runtime_computes_where_its_file_allows(monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = RLFN(2, num_blocks=2, channels=8, esa_channels=4).eval()
    found = formed(model, "onnx", 2, "cpu")
    monkeypatch.setattr(RLFN, "network", lambda *_: pytest.fail("computed by torch"))
    with torch.inference_mode():
        large, small = (torch.rand(1, 3, n, 30) for n in (24, 15))
        by_file = found.model(large)
        monkeypatch.undo()
        torch.testing.assert_close(by_file, model(large), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.model(small), model(small), rtol=0, atol=1e-5)  # its file would pad it
        torch.testing.assert_close(enlarge(found.model, large, tile=17), model(large), rtol=0, atol=1e-5)
