"""sr export as users type it, and what is made of the files."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import ROOT

import sr
from sr.errors import UserError
from sr.forms import formats
from sr.forms.deployed import Exported
from sr.layers.identity import identity
from sr.models.basicvsr import BasicVSR
from sr.models.ecbsr import ECBSR
from sr.runs import checkpoint, safetensors

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("safetensors")


@pytest.fixture
def exported(command, network, tmp_path):
    outcome = command("export.py", f"model={network}", "formats=[onnx,pt2,safetensors]", f"output={tmp_path / 'files'}")
    assert outcome.code == 0, outcome
    return tmp_path / "files"


def test_each_file_is_the_network(exported, network):
    lr, model = torch.rand(2, 3, 7, 19), checkpoint.load(network).merged()
    assert sorted(p.name for p in exported.iterdir() if p.name[0] != ".") == ["small_x2.onnx", "small_x2.pt2",
                                                                          "small_x2.safetensors"]  # fmt: skip
    with torch.inference_mode():
        wanted = model(lr)
        for name in ("small_x2.onnx", "small_x2.safetensors"):
            torch.testing.assert_close(sr.load(exported / name)(lr), wanted, rtol=0, atol=1e-5)
    with torch.no_grad():
        program = torch.export.load(exported / "small_x2.pt2").module()
        torch.testing.assert_close(program(lr), wanted.clone(), rtol=0, atol=1e-5)
        torch.testing.assert_close(program(lr[:1, :, :1, :1].clone()), model(lr[:1, :, :1, :1]), rtol=0, atol=1e-5)


def test_no_file_tells_where_it_was_made(exported):
    """ONNX files and programs, which are given away, held the place of each line of code: the exporter's home."""
    for file in (f for f in exported.iterdir() if f.is_file()):
        assert str(ROOT).encode() not in file.read_bytes(), file


def test_a_file_tells_what_it_is(exported, network):
    model = onnx.load(exported / "small_x2.onnx")
    told = {p.key: p.value for p in model.metadata_props}
    assert told["sr.scale"] == "2" and told["sr.range"] == "0-1" and told["sr.architecture"] == "ECBSR"
    assert told["sr.receptive_radius"] == "3" and int(told["sr.bytes_per_pixel"]) > 3 * 4
    assert told["sr.weights"] == identity(checkpoint.load(network).state_dict(), {})
    (given,), (made,) = model.graph.input, model.graph.output
    sides = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (given, made)]
    assert sides == [["batch", 3, "height", "width"], ["batch", 3, "2*height", "2*width"]]
    assert next(o.version for o in model.opset_import if not o.domain) == 18
    assert {t.data_type for t in model.graph.initializer if len(t.dims) == 4} == {onnx.TensorProto.FLOAT}
    start = (exported / "small_x2.safetensors").read_bytes()
    table = json.loads(start[8 : 8 + int.from_bytes(start[:8], "little")])["__metadata__"]
    assert (
        table["scale"] == "2"
        and table["weights"] == told["sr.weights"]
        and json.loads(table["sr"])["model"]["_target_"] == "sr.models.ecbsr.ECBSR"
    )


def test_files_are_measured_and_used_as_the_network_is(command, exported, network, photos, tmp_path):
    photos(tmp_path / "B/HR", 2, 48, 56)
    typed = [f"data.test={tmp_path / 'B/HR'}", "benchmarks=[folder]", "scale=2", "protocols=[y]"]
    rows = {}
    for n, words in enumerate(([f"checkpoint=[{network},{exported / 'small_x2.safetensors'}]"],
                               [f"weights={exported / 'small_x2.onnx'}"])):  # fmt: skip
        outcome = command("evaluate.py", *words, *typed, folder=f"e{n}")
        assert outcome.code == 0, outcome
        with (outcome.folder / "results.csv").open(newline="") as f:
            rows |= {(n, i): float(row["psnr"]) for i, row in enumerate(csv.DictReader(f)) if row["model"] != "bicubic"}
    assert len(rows) == 3 and max(rows.values()) - min(rows.values()) < 1e-3
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    made = {}
    for name in (network, exported / "small_x2.onnx", exported / "small_x2.safetensors"):
        outcome = command(
            "upscale.py",
            f"input={tmp_path / 'a.png'}",
            f"model={name}",
            f"output={tmp_path / name.suffix}",
            folder=f"u{name.suffix}",
        )
        assert outcome.code == 0, outcome
        made[name] = np.asarray(Image.open(tmp_path / name.suffix / "a_x2.png")).astype(int)
    first, *others = made.values()
    assert all(abs(first - other).max() <= 1 for other in others)


def test_float16_is_float16_inside(command, network, tmp_path):
    words = [f"model={network}", "half=true", "formats=[onnx,safetensors]", f"output={tmp_path / 'files'}"]
    assert command("export.py", *words).code == 0
    lr = torch.rand(1, 3, 9, 8)
    with torch.inference_mode():
        wanted = checkpoint.load(network)(lr)
        for suffix in ("onnx", "safetensors"):
            file = tmp_path / f"files/small_x2_fp16.{suffix}"
            torch.testing.assert_close(sr.load(file)(lr), wanted, rtol=0, atol=4e-3)
    graph = onnx.load(tmp_path / "files/small_x2_fp16.onnx").graph
    kernels = [t for t in graph.initializer if len(t.dims) == 4]
    wide = [t for t in kernels if t.data_type != onnx.TensorProto.FLOAT16]
    assert len(kernels) > 2 and [t.dims[1] for t in wide] == [3]  # the one that reads the picture
    weights, told = safetensors.read(tmp_path / "files/small_x2_fp16.safetensors")
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float16}
    assert told["precision"] == "weights in float16, computed in float32"


def test_what_an_exporter_cannot_follow_is_told_and_the_others_are_written(command, network, tmp_path, monkeypatch):
    def network_of_a_user(self, x, scale):
        assert x.mean() > -1  # decides by values
        return made(self, x, scale)

    made = ECBSR.network
    monkeypatch.setattr(ECBSR, "network", network_of_a_user)
    words = [f"model={network}", "formats=[pt2,safetensors]", f"output={tmp_path / 'files'}"]
    outcome = command("export.py", *words)
    assert outcome.code == 1 and "1 of 2 are not written: small_x2.pt2: " in outcome.err, outcome
    assert "Traceback" not in outcome.err and (tmp_path / "files/small_x2.safetensors").is_file()


def test_what_is_there_is_kept_and_what_is_wrong_is_not(command, network, tmp_path, monkeypatch):
    words = [f"model={network}", "formats=safetensors", f"output={tmp_path / 'files'}"]
    assert command("export.py", *words).code == 0
    file = tmp_path / "files/small_x2.safetensors"
    file.write_bytes(b"mine")
    refused = command("export.py", *words)
    assert refused.code == 1 and "is there already. Type overwrite=true" in refused.err and file.read_bytes() == b"mine"

    def other(path, what):
        run = Exported(what.model, what.name, what.scale).deployed()
        return lambda x: run(x) + 1e-3

    def meanwhile(path, what):
        (path.parent / "small_x2.safetensors").write_bytes(b"theirs")
        return Exported(what.model, what.name, what.scale).deployed()

    file.unlink()
    with monkeypatch.context() as patch:
        late = formats.FORMATS["safetensors"]._replace(reader=meanwhile)
        patch.setitem(formats.FORMATS, "safetensors", late)
        refused = command("export.py", *words)
    assert refused.code == 1 and "is there already" in refused.err and file.read_bytes() == b"theirs", refused
    file.write_bytes(b"mine")
    wrong = formats.FORMATS["safetensors"]._replace(reader=other)
    monkeypatch.setitem(formats.FORMATS, "safetensors", wrong)
    refused = command("export.py", *words, "overwrite=true")
    assert refused.code == 1 and "from the network's, more than 1e-05; it is not kept" in refused.err, refused
    assert file.read_bytes() == b"mine" and len(list(file.parent.glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["formats=onxn"], "formats=onxn: there are onnx, pt2, safetensors, spandrel, hub. Did you mean onnx?"),
        (["formats=[]"], "there are onnx, pt2, safetensors"),
        (["model=bicubic"], "bicubic has no weights"),
        (["model=nowhere.ckpt"], "nowhere.ckpt"),
    ],
)
def test_what_makes_no_sense_is_refused(command, network, typed, told):
    words = [f"model={network}", *typed]
    outcome = command("export.py", *words[-1 if typed[0].startswith("model") else 0 :])
    assert outcome.code == 1 and told in outcome.err and "Traceback" not in outcome.err, outcome


def test_a_network_on_whole_clips_says_why_not(command, tmp_path):
    node = {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": 1, "channels": 8}
    state = BasicVSR(scale=4, num_blocks=1, channels=8).state_dict()
    torch.save({"state_dict": state, "sr": checkpoint.describe(node, "clips", {})}, tmp_path / "clips.ckpt")
    outcome = command("export.py", f"model={tmp_path / 'clips.ckpt'}")
    assert outcome.code == 1 and "all frames of a clip and back" in outcome.err, outcome


def test_weights_in_another_layout_are_the_same_file(network, tmp_path):
    """Which safetensors itself refuses."""
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        what = Exported(checkpoint.load(network).to(memory_format=layout), "small", 2)
        formats.FORMATS["safetensors"].write(tmp_path / "a.safetensors", what, 18)
        found.append(safetensors.read(tmp_path / "a.safetensors"))
    assert found[0][1] == found[1][1] and list(found[0][0]) == list(found[1][0])
    assert all(torch.equal(a, b) for a, b in zip(found[0][0].values(), found[1][0].values(), strict=True))


@pytest.mark.parametrize("half", [False, True])
def test_a_flipped_bit_is_seen(network, tmp_path, half, caplog):
    """The format has no checksum: other figures were measured without a word."""
    caplog.set_level("INFO")
    file = tmp_path / "a.safetensors"
    formats.FORMATS["safetensors"].write(file, Exported(checkpoint.load(network), "small", 2, half), 18)
    content = file.read_bytes()
    assert checkpoint.load(file).scales == (2,) and "no checksums" not in caplog.text
    for place in (len(content) - 9, content.index(b"small")):
        file.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"a\.safetensors is damaged"):
            checkpoint.load(file)
    file.write_bytes(content.replace(b"checksum", b"checksun"))
    assert checkpoint.load(file) and "holds no checksums" in caplog.text


def test_a_flipped_bit_in_onnx_is_seen(network, tmp_path):
    file = tmp_path / "a.onnx"
    formats.FORMATS["onnx"].write(file, Exported(checkpoint.load(network), "small", 2), 18)
    content = file.read_bytes()
    weights = max((t.raw_data for t in onnx.load(str(file)).graph.initializer), key=len)
    for place in (content.index(weights) + 2, content.index(b"small")):
        assert sr.load(file).scales == (2,)
        file.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"a\.onnx is damaged, or another program changed it"):
            sr.load(file)
        file.write_bytes(content)


def test_what_float16_cannot_hold_is_refused(command, network, tmp_path):
    content = torch.load(network, weights_only=True)
    weights = [value for key, value in content["state_dict"].items() if value.ndim == 4]
    weights[0].mul_(1e7)
    torch.save(content, network)
    words = [f"model={network}", "half=true", "formats=safetensors", f"output={tmp_path / 'files'}"]
    outcome = command("export.py", *words)
    assert outcome.code == 1 and "too large for float16: leave half=true out" in outcome.err, outcome
    assert not list((tmp_path / "files").glob("[!.]*"))


@pytest.mark.slow
def test_other_operators_are_written_or_told(command, network, tmp_path):
    outcome = command("export.py", f"model={network}", "opset=20", f"output={tmp_path / 'files'}")
    assert outcome.code == 0, outcome
    found = next(o.version for o in onnx.load(tmp_path / "files/small_x2.onnx").opset_import if not o.domain)
    assert (found == 20) != (f"it needs version {found} of ONNX's operators, not 20" in outcome.out)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "half"), [("bsrn_x4", 0), ("bsrn_x4", 1), ("rlfn_x4", 1), ("imdn_x4", 1), ("vdsr_x4", 1)]
)
def test_networks_that_make_hundreds_of_noise_are_exported(command, shared, tmp_path, name, half):
    """BSRN's published weights: on noise PyTorch itself is 7e-5 from the result in float64; on a checkerboard RLFN's
    make 1,250, and float16 is 0.49 from it there.
    """
    words = [f"model={name}", f"half={bool(half)}", f"zoo.dir={shared}/weights", f"output={tmp_path / 'files'}"]
    outcome = command("export.py", *words)
    assert outcome.code == 0, outcome
