"""The metric module: means over images, whatever the batches and however many processes."""

import os
import tempfile

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sr.errors import UserError
from sr.metrics.protocol_metric import ProtocolMetric
from sr.metrics.protocols import get_protocol


def images() -> list[tuple[torch.Tensor, torch.Tensor, bool]]:
    generator = torch.Generator().manual_seed(0)
    result = []
    for k, (height, width) in enumerate([(24, 32), (30, 26), (40, 28)]):
        hr = torch.rand(1, 3, height, width, generator=generator)
        sr = hr + 0.02 * 4**k * torch.randn(hr.shape, generator=generator)
        result.append((sr, hr, k == 1))
    return result


def measured(pairs: list[tuple[torch.Tensor, torch.Tensor, bool]]) -> dict[str, float]:
    metric = ProtocolMetric(get_protocol("y_uint8"))
    for sr, hr, grey in pairs:
        metric.update(sr, hr, 2, [grey])
    return metric.compute()


def test_is_the_mean_over_images():
    protocol = get_protocol("y_uint8")
    single = [protocol.compare(sr, hr, 2, grey) for sr, hr, grey in images()]
    result = measured(images())
    assert result["psnr"] == pytest.approx(sum(values["psnr"].item() for values in single) / 3, abs=1e-5)
    assert result["ssim"] == pytest.approx(sum(values["ssim"].item() for values in single) / 3, abs=1e-6)


def test_batches_and_single_images_agree_and_reset_forgets():
    hr = torch.rand(4, 3, 24, 24)
    sr = hr + 0.1 * torch.randn_like(hr)
    metric = ProtocolMetric(get_protocol("y"))
    metric.update(sr, hr, 2)
    whole = metric.compute()
    metric.reset()
    for k in range(4):
        metric.update(sr[k : k + 1], hr[k : k + 1], 2, False)
    torch.testing.assert_close(metric.compute(), whole)


def test_an_identical_image_is_left_out_of_the_mean_and_told():
    metric, hr = ProtocolMetric(get_protocol("rgb")), torch.rand(2, 3, 24, 24)
    noisy = hr[1:] + 0.05 * torch.randn_like(hr[1:])
    metric.update(torch.cat((hr[:1], noisy)), hr, 2)
    alone = get_protocol("rgb").compare(noisy, hr[1:], 2)["psnr"].item()
    assert metric.compute()["psnr"] == pytest.approx(alone, abs=1e-4) and metric.remarks == ["1 of 2 identical"]
    metric.reset()
    metric.update(hr, hr, 2)
    assert metric.compute() == {"psnr": 100.0, "ssim": pytest.approx(1)} and metric.remarks == ["2 of 2 identical"]


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_measured_is_an_error():
    with pytest.raises(UserError, match="data set is empty"):
        ProtocolMetric(get_protocol("y")).compute()


def _one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(measured(images()[rank::2]), os.path.join(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="this build of torch has no distributed package")
def test_two_processes_with_three_images_equal_one():
    expected = measured(images())
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_one_rank, (folder,), nprocs=2)
        for rank in range(2):
            result = torch.load(os.path.join(folder, f"{rank}.pt"))
            assert result["psnr"] == pytest.approx(expected["psnr"], abs=1e-5)
            assert result["ssim"] == pytest.approx(expected["ssim"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "counted"), [("video_y", range(7)), ("video_centre", range(3, 4)), ("video_duf", range(2, 5))]
)
def test_of_clips_the_frames_count_that_the_protocol_says(name, counted):
    protocol = get_protocol(name)
    generator = torch.Generator().manual_seed(1)
    hr = torch.rand(2, 7, 3, 32, 36, generator=generator)
    sr = hr + 0.1 * torch.rand(7, 1, 1, 1, generator=generator)
    sr[1, 3] += 0.05
    metric = ProtocolMetric(protocol)
    metric.update(sr[:1], hr[:1], 4)
    metric.update(sr[1:, 1:], hr[1:, 1:], 4, [False])  # a clip of another length
    each = [protocol.compare(sr[0, [n]], hr[0, [n]], 4)["psnr"].item() for n in counted]
    of_other = [n + 1 for n in protocol.scored(6)]
    other = [protocol.compare(sr[1, [n]], hr[1, [n]], 4)["psnr"].item() for n in of_other]
    wanted = (sum(each) / len(each) + sum(other) / len(other)) / 2
    assert metric.compute()["psnr"] == pytest.approx(wanted, abs=1e-4)


def test_a_clip_too_short_to_lose_frames_keeps_them():
    assert [list(get_protocol("video_duf").scored(n)) for n in (1, 4, 5)] == [[0], [0, 1, 2, 3], [2]]
    assert [list(get_protocol("video_centre").scored(n)) for n in (1, 2, 7)] == [[0], [1], [3]]
    assert list(get_protocol("y").scored(3)) == [0, 1, 2]


def test_an_identical_frame_of_a_clip_is_left_out():
    hr = torch.rand(1, 2, 3, 24, 24, generator=torch.Generator().manual_seed(2)) / 2
    sr = hr.clone()
    sr[:, 1] += 0.1
    metric = ProtocolMetric(get_protocol("video_rgb"))
    metric.update(sr, hr, 4)
    one = ProtocolMetric(get_protocol("video_rgb"))
    one.update(sr[:, 1], hr[:, 1], 4)
    assert metric.compute()["psnr"] == pytest.approx(one.compute()["psnr"])
    metric.update(hr, hr, 4)
    assert metric.compute()["psnr"] == pytest.approx(one.compute()["psnr"]) and metric.remarks
