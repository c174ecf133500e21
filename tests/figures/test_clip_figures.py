"""Pictures of clips: what they show is counted again here, by hand."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import skimage
import torch
from hydra.utils import instantiate
from PIL import Image
from small_runs import write

from sr.errors import UserError
from sr.figures.alignment import alignment, wheel
from sr.figures.crop_grid import crop_grid
from sr.figures.inputs import Photo, read_photos
from sr.figures.temporal import frame_psnr, temporal_profile
from sr.imaging.files import write_image
from sr.measuring.scoring import Entry
from sr.metrics.protocols import get_protocol
from sr.models.basicvsr import BasicVSR
from sr.models.bicubic import Bicubic
from sr.models.edvr import EDVR


@pytest.fixture
def clip() -> list[Photo]:
    """Five frames of 48x64 pixels, each moved by two."""
    photo = torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1)[None]
    return [Photo(f"{n:03d}", photo[..., 100:148, 200 + 2 * n : 264 + 2 * n]) for n in range(5)]


@pytest.fixture
def models() -> list[Entry]:
    torch.manual_seed(0)
    return [Entry("ours", BasicVSR(num_blocks=1, channels=8)), Entry("edvr", EDVR(num_blocks=1, channels=8, groups=2))]


def test_a_profile_is_one_row_of_every_frame(clip, models):
    drawing = temporal_profile(models, clip, row=5)
    hr, bicubic, *others = drawing.rows
    row = np.stack([frame.array[5] for frame in clip]).astype(float)
    assert (hr["model"], bicubic["model"]) == ("HR", "bicubic") and len(others) == 2
    assert hr["change_between_frames"] == pytest.approx(np.abs(row[1:] - row[:-1]).mean()) and hr["error"] == 0
    sr = Bicubic(4)(torch.cat([frame.lr(4) for frame in clip])).clamp(0, 1).mul(255).round().numpy()[:, :, 5]
    assert bicubic["error"] == pytest.approx(np.abs(sr.transpose(0, 2, 1) - row).mean())
    with pytest.raises(UserError, match=r"figure.row=48: the frames have rows 0 to 47"):
        temporal_profile(models, clip, row=48)


def test_photos_are_told_to_be_taken_for_frames(clip, caplog):
    named = [
        replace(frame, name=name) for frame, name in zip(clip, ("baby", "bird", "head", "owl", "zebra"), strict=True)
    ]
    times = [replace(frame, name=f"12-{n // 2:02d}-{n % 2 * 30:02d}") for n, frame in enumerate(clip)]
    for frames in (clip, times):
        temporal_profile([Entry("bicubic", Bicubic(4))], frames)
        assert "do not count" not in caplog.text
    temporal_profile([Entry("bicubic", Bicubic(4))], named)
    assert "names of images= do not count, and are taken for frames in this order: baby, bird" in caplog.text


def test_psnr_of_each_frame_is_the_protocols(clip, models):
    rows = frame_psnr(models[:1], clip).rows
    assert [r["frame"] for r in rows] == 2 * [f.name for f in clip]
    with torch.no_grad():
        sr = models[0].model.eval()(torch.stack([f.lr(4)[0] for f in clip])[None])[0]
    found = get_protocol("video_y").compare(sr, torch.cat([f.pixels for f in clip]), 4)["psnr"]
    torch.testing.assert_close(torch.tensor([r["psnr"] for r in rows[5:]], dtype=torch.float64), found)


@pytest.mark.parametrize(("name", "frames"), [("y_classic", 5), ("y_float", 5), ("video_duf", 1), ("video_centre", 1)])
def test_psnr_of_frames_has_the_lr_and_the_mean_of_its_protocol(clip, name, frames):
    protocol = get_protocol(name)
    drawing = frame_psnr([Entry("bicubic", Bicubic(2))], clip, protocol=name)
    values = [float(protocol.compare(Bicubic(2)(protocol.lr(f.pixels, 2)), f.pixels, 2)["psnr"]) for f in clip]
    assert [r["psnr"] for r in drawing.rows] == pytest.approx(values)
    mean = np.mean([values[n] for n in protocol.scored(5)])
    over = "" if frames == 5 else " of 1 of 5 frames"
    assert drawing.figure.axes[0].get_legend().get_texts()[0].get_text() == f"bicubic (mean {mean:.2f}{over})"


def test_a_grid_of_crops_says_which_networks_miss_their_clip(clip, models):
    drawing = crop_grid([*models, Entry("bare", Bicubic(4))], clip[:2], size=20, protocol="video_y")
    told = "ours, edvr: of each image alone, without the frames around it"
    assert told in " ".join(drawing.figure.get_suptitle().split())
    assert drawing.notes == [f"{told}; figure=frame_psnr has the figures within a clip"]
    psnr = [row["psnr"] for row in drawing.rows if row["model"] == "ours"]
    within = [row["psnr"] for row in frame_psnr(models[:1], clip).rows if row["model"] == "ours"]
    assert abs(psnr[0] - within[0]) > 1e-3, "which the note is about"


def test_a_frame_that_comes_out_identical_hides_no_other(clip):
    """As black ones do, between two scenes."""
    black = replace(clip[0], pixels=torch.zeros_like(clip[0].pixels))
    drawing = frame_psnr([Entry("bicubic", Bicubic(2))], [black, *clip[1:]])
    told = f"bicubic (mean {np.mean([r['psnr'] for r in drawing.rows[1:5]]):.2f}, 1 of 5 identical)"
    assert drawing.figure.axes[0].get_legend().get_texts()[0].get_text() == told


def test_frames_that_are_missing_are_told(clip, models, caplog):
    frame_psnr(models[:1], clip)
    assert not caplog.text
    frame_psnr(models[:1], [*clip[:2], *clip[3:]])
    assert "frames are missing, by their numbers: 2. Those around are taken for neighbours" in caplog.text


def test_flow_offsets_and_masks_are_those_of_the_networks(clip, models):
    seen = []
    with torch.no_grad():
        handle = models[1].model.fusion.mask.register_forward_hook(
            lambda _, __, mask: seen.append(mask.sigmoid().mean(1))
        )
        models[1].model.eval()(torch.stack([f.lr(4)[0] for f in clip])[None])
        handle.remove()
    drawing = alignment(models, clip)
    (ax,) = (ax for ax in drawing.figure.axes if ax.get_title().startswith("spatial mask"))
    shown = ax.images[0].get_array()
    np.testing.assert_allclose(shown, seen[2][0, : shown.shape[0], : shown.shape[1]], atol=1e-5)
    flow, offsets = ([r for r in drawing.rows if r["model"] == name] for name in ("ours", "edvr"))
    assert [r["frame"] for r in flow] == [-1, 1] and [r["frame"] for r in offsets] == [-2, -1, 0, 1, 2]
    with torch.no_grad():
        found = models[0].model.flow(clip[2].lr(4), clip[1].lr(4))
    assert flow[0]["mean_length"] == pytest.approx(float(found.norm(dim=1).mean()))
    assert all(r["mean_length"] == 0 and 0 < r["likeness"] < 1 for r in offsets)  # untrained: no offsets yet
    assert offsets[0]["likeness"] != offsets[2]["likeness"]
    with pytest.raises(UserError, match=r"bicubic.*aligns no frames"):
        alignment([Entry("bicubic", Bicubic(4))], clip)
    with pytest.raises(UserError, match="3 or more frames of one clip"):
        alignment(models, clip[:2])


def test_frames_of_a_folder_are_in_the_order_of_time(clip, tmp_path):
    for n in (0, 2, 9, 10, 11):
        write_image(tmp_path / f"{n}.png", clip[0].pixels[0])
    assert [photo.name for photo in read_photos([tmp_path])] == ["0", "2", "9", "10", "11"]


def test_colours_tell_the_direction():
    right, down, rest = wheel(np.array([[[2.0, 0, 0]], [[0, 2.0, 0]]]), 2.0)[0]
    assert np.allclose(right, (1, 0, 0)) and np.allclose(rest, (1, 1, 1)) and down[1] > down[0] > down[2]


@pytest.mark.slow
def test_figure_draws_them_of_a_folder_of_frames(command, clips, tmp_path):
    frames, sizes = clips(count=1, frames=4) / "000", {"scale": 4, "num_blocks": 1, "channels": 8}
    nodes = {"vsr": {"_target_": "sr.models.basicvsr.BasicVSR", **sizes}}
    nodes["edvr"] = {"_target_": "sr.models.edvr.EDVR", **sizes, "groups": 2}
    files = [write(tmp_path / f"{name}.ckpt", node, instantiate(node).state_dict()) for name, node in nodes.items()]
    typed = [f"checkpoint=[{files[0]},{files[1]}]", f"images={frames}"]
    for name, count in (("temporal_profile", 4), ("frame_psnr", 3 * 4), ("alignment", 2 + 5)):
        done = command("figure.py", f"figure={name}", *typed, folder=name)
        assert done.code == 0, (name, done)
        with Image.open(done.folder / f"{name}.png") as picture:
            assert min(picture.size) > 100 and np.asarray(picture).std() > 10
        with (done.folder / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == count
