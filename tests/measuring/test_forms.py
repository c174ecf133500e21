"""sr measure forms=...: each form timed, weighed and scored beside the others, and what cannot be had named."""

import csv
import sys

import networks as nets
import pytest
import torch
from torch import nn

from sr.forms.running import FORMS
from sr.measuring.cost import cost
from sr.measuring.latency import ntire22, peak_memory
from sr.models.base import SuperResolver
from sr.models.bicubic import Bicubic
from sr.models.ecbsr import ECBSR
from sr.runs.checkpoint import describe


@pytest.fixture
def trained(tmp_path):
    node = {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "colors": 3, "num_blocks": 1, "channels": 8}
    torch.manual_seed(0)
    model = ECBSR(scale=2, colors=3, num_blocks=1, channels=8)
    torch.save({"state_dict": model.state_dict(), "sr": describe(node, "small", {})}, tmp_path / "small.ckpt")
    return tmp_path / "small.ckpt"


def forms(folder):
    with (folder / "forms.csv").open(newline="") as f:
        return {(r["model"], r["form"]): r for r in csv.DictReader(f)}


TYPED = ["scale=2", "size=[16,16]", "rounds=2", "reference=bicubic", "receptive_field=false"]


def test_each_form_is_measured_and_what_cannot_be_had_says_why(command, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    typed = ["model=espcn", f"checkpoint={trained}", "forms=[eager,channels_last,bf16,onnx]", "benchmarks=bundled"]
    done = command("measure.py", *typed, *TYPED)
    assert done.code == 0, done
    rows = forms(done.folder)
    assert list(rows) == [(m, f) for m in ("small", "espcn") for f in ("eager", "channels_last", "bf16", "onnx")]
    eager, last, half = (rows["small", form] for form in ("eager", "channels_last", "bf16"))
    assert float(eager["latency_ratio"]) == 1 and float(last["latency_ms"]) > 0 and float(last["apart"]) < 1e-5
    assert eager["sets"] == "Bundled" and eager["protocol"] == "y"
    assert float(eager["psnr"]) == pytest.approx(float(last["psnr"]), abs=1.1e-3)
    assert 1e-5 < float(half["apart"]) < 0.1
    assert rows["espcn", "eager"]["psnr"] == ""  # of weights that nobody trained
    note = rows["small", "onnx"]["note"]
    assert "not installed: pip install" in note and f"- small x2 onnx: {note}" in done.out
    assert "| small | x2 | channels_last |" in (done.folder / "forms.md").read_text()
    assert "| espcn | x2 |" in (done.folder / "models.md").read_text()


@pytest.mark.slow
def test_every_form_has_its_row_and_all_but_bf16_are_the_network(command, trained):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    words = [f"checkpoint={trained}", "forms=all", "benchmarks=bundled", *TYPED, "rounds=1"]
    done = command("measure.py", *words)
    assert done.code == 0, done
    rows = {form: row for (_, form), row in forms(done.folder).items()}
    assert list(rows) == list(FORMS) and {"merged", "compiled", "onnx", "onnx_1_thread"} < set(rows)
    made = {form: row for form, row in rows.items() if not row["note"]}
    assert set(rows) - set(made) <= {"compiled"}  # which needs a compiler
    for form, row in made.items():
        assert float(row["latency_ms"]) > 0 and row["protocol"] == "y", (form, row)
        if form != "bf16":
            assert float(row["apart"]) < 1e-5
            assert float(row["psnr"]) == pytest.approx(float(rows["eager"]["psnr"]), abs=1.1e-3)


def test_what_cannot_be_counted_of_an_onnx_file_is_told_and_not_zero(command, trained, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    assert command("export.py", f"model={trained}", f"output={tmp_path / 'files'}", folder="e").code == 0
    done = command("measure.py", f"weights={tmp_path / 'files/small_x2.onnx'}", *TYPED, "rounds=1")
    assert done.code == 0, done
    assert "| x2 | ? | ? | ? | ? | ? |" in done.out and "not counted, as the counter does not know it" in done.out
    with (done.folder / "models.csv").open(newline="") as f:
        (row,) = csv.DictReader(f)
    assert row["parameters"] == row["activations_720p"] == row["convolutions"] == row["macs_256"] == ""
    assert float(row["latency_ms"]) > 0


def test_another_scale_and_a_wrong_form_are_answered(command, trained):
    for typed in (f"checkpoint={trained}", "weights=plain_m10c32_x2"):
        wrong = command("measure.py", typed, "rounds=0", folder="wrong")
        assert wrong.code == 1 and f"{typed} enlarges by 2, and what is measured is scale=4" in wrong.err, wrong
        assert wrong.err.endswith("type scale=2\n"), wrong
    wrong = command("measure.py", f"checkpoint={trained}", "forms=chanels_last", *TYPED, folder="wrong")
    assert wrong.code == 1 and "forms=chanels_last: name what is measured" in wrong.err, wrong
    assert "Did you mean channels_last?" in wrong.err, wrong
    wrong = command("evaluate.py", f"weights={trained.parent}", "benchmarks=bundled", folder="wrong")
    assert wrong.code == 1 and f"weights= are files. Type checkpoint={trained.parent}" in wrong.err, wrong


def test_ntire_s_protocol_is_the_mean_over_a_set(command):
    typed = ["model=espcn", "benchmarks=bundled", "timing=ntire22"]
    done = command("measure.py", *typed, *TYPED)
    assert done.code == 0 and "as in NTIRE 2022: each LR image of bundled once" in done.out, done
    wrong = command("measure.py", "model=espcn", "timing=ntire22", *TYPED, folder="b")
    assert wrong.code == 1 and "timing=ntire22 times the images of a set: type benchmarks=" in wrong.err, wrong
    for word, told in (("timing=ntire", "there are rounds, ntire22"), ("forms=onxx", "Did you mean onnx")):
        wrong = command("measure.py", "model=espcn", word, *TYPED, folder="c")
        assert wrong.code == 1 and told in wrong.err, wrong


class Slow(Bicubic):
    """Takes as long as the image is high."""

    def forward(self, lr, scale=None):
        times.append(lr.shape[-2])
        return super().forward(lr, scale)


times: list[int] = []


def test_images_are_timed_once_each_and_all_count(monkeypatch):
    times.clear()
    monkeypatch.setattr("sr.measuring.latency._now", lambda device: sum(times) / 1000)
    images = [torch.rand(1, 3, n, 8) for n in (8, 12, 40)]
    found = ntire22({"slow": Slow(2), "other": Slow(2)}, "other", images, 2, torch.device("cpu"))
    assert times == [8, 8, 12, 12, 40, 40]
    assert found["slow"].median == pytest.approx(20) and found["slow"].ratio == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_memory_of_a_pass_is_told():
    class Hungry(Bicubic):
        def forward(self, lr, scale=None):
            torch.ones(int(3e7)).sum()  # 120 MB
            return super().forward(lr, scale)

    plain, hungry = (peak_memory(m(2), (8, 8), 2, torch.device("cpu")) for m in (Bicubic, Hungry))
    if plain is None:
        pytest.skip("this system does not tell")
    assert 110e6 < hungry - plain < 140e6


class Attending(SuperResolver):
    def __init__(self, scale=2):
        super().__init__(scale)
        self.conv = nn.Conv2d(3, 12, 1)

    def network(self, x, scale):
        flat = x.flatten(2)
        attention = (flat.transpose(1, 2) @ flat).softmax(-1)
        y = (flat @ attention).unflatten(2, x.shape[2:])
        return nn.functional.pixel_shuffle(self.conv(torch.fft.ifft2(torch.fft.fft2(y)).real), 2)


def test_what_the_counter_does_not_know_is_named():
    counted = cost(Attending().eval(), (6, 6), 2)
    assert counted.macs == 36 * 36 and counted.unknown == ("_fft_c2c x 2", "bmm x 2")


@pytest.mark.slow
@pytest.mark.parametrize("name", nets.architectures())
def test_of_our_networks_all_is_counted_but_products_of_attention(name):
    s = nets.scales(name)[-1]
    model = nets.build(name, s if isinstance(nets.node(name)["scale"], str) else nets.scales(name), small=True)
    named = {operation.split()[0] for operation in cost(model.merged(), (48, 48), s).unknown}
    assert named == ({"bmm"} if name == "swinir_light" else set())
