"""Steps recorded and repeated: what a CUDA graph would do, with a recorder of the processor in its place."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from recorder import NoNumbers, Recorder
from torch import nn

from sr.data.batch import Batch
from sr.losses import (
    Adversarial,
    Charbonnier,
    Contrastive,
    Hinge,
    LeastSquares,
    PerImage,
    Relativistic,
    SRGANDiscriminator,
    TotalVariation,
    Vanilla,
    VGG19Features,
    VGGStyleDiscriminator,
    WeightedSum,
)
from sr.losses.contrastive import RandomFeatures
from sr.models import graph
from sr.models.drcn import DRCN
from sr.models.graph import WARM_UP, Graphs
from sr.models.hooks import why_no_graph
from sr.models.srcnn import SRCNN
from sr.models.srresnet import SRResNet
from sr.models.watch import Watch

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS = sorted(p.stem for p in (CONF / "model").glob("*.yaml") if p.stem not in ("bicubic", "module"))
QUICK = ("edsr_baseline", "espcn", "lapsrn", "srcnn", "vdsr")


class Toy:
    """A network with batch norm, its optimizer, and the step that trains it."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-2)
        self.places: list[tuple[int, ...]] = []

    def step(self, batches: Any) -> graph.Losses:
        losses = []
        for batch in batches:
            loss = nn.functional.l1_loss(self.net(batch.lr), batch.hr)
            loss.backward()
            losses.append({"loss": loss.detach()})
        self.optimizer.step()
        self.optimizer.zero_grad()
        states = [x for state in self.optimizer.state.values() for x in state.values()]
        self.places.append(
            tuple(x.data_ptr() for x in (*(b.lr for b in batches), *self.net.state_dict().values(), *states))
        )
        return losses


def batches(n: int, side: int = 4, accumulate: int = 1) -> list[Batch]:
    random = torch.Generator().manual_seed(n)
    pair = (torch.rand(2, 3, side, side, generator=random) for _ in range(2 * accumulate))
    return [Batch(lr, hr, 1, [f"image {n}"], [False]) for lr, hr in zip(pair, pair, strict=True)]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_recorded_step_trains_as_the_step_itself_does_and_its_memory_stays(accumulate):
    plain, toy, recorder = Toy(), Toy(), Recorder()
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], recorder)
    for n in range(50):
        given = batches(n, side=4 if n % 3 else 6, accumulate=accumulate)  # two kinds, in turns
        expected = plain.step(given)
        found = graphs.take(given)
        assert [float(each["loss"]) for each in found] == [float(each["loss"]) for each in expected]
    assert all(
        torch.equal(a, b) for a, b in zip(plain.net.state_dict().values(), toy.net.state_dict().values(), strict=True)
    )
    assert recorder.recorded == 2 and recorder.replays == 50 - 2 * WARM_UP
    assert len(set(toy.places[-12:])) == 2 and len(set(plain.places[-12:])) > 2  # one for each kind, and not by chance


def test_a_recording_that_fails_leaves_everything_as_it_was_and_says_why(caplog):
    class Failing(Recorder):
        def record(self, function):
            toy.optimizer.state[nn.Parameter(torch.ones(1))] = {"step": torch.ones(())}
            torch.rand(3)
            toy.net[0].weight.grad = torch.ones_like(toy.net[0].weight)
            try:
                raise ValueError("operation not permitted when stream is capturing")
            except ValueError:
                raise RuntimeError("the capture was invalidated") from None

    caplog.set_level("INFO")
    plain, toy = Toy(), Toy()
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], Failing())
    for n in range(WARM_UP + 4):
        torch.manual_seed(n)
        plain.step(batches(n))
        torch.manual_seed(n)
        graphs.take(batches(n))
        assert torch.equal(torch.rand(1), torch.manual_seed(n) and torch.rand(1))
    assert all(torch.equal(a, b) for a, b in zip(plain.net.parameters(), toy.net.parameters(), strict=True))
    assert len(toy.optimizer.state) == len(plain.optimizer.state)
    assert [r.message for r in caplog.records] == [
        "no CUDA graph: ValueError: operation not permitted when stream is capturing"
    ]


def test_what_waits_for_the_device_is_found_before_anything_is_recorded(caplog):
    class Waits(Toy):
        def step(self, batches):
            if float(batches[0].lr.mean()) < 2:  # data-dependent Python
                return super().step(batches)

    caplog.set_level("INFO")
    plain, toy, recorder = Toy(), Waits(), Recorder("cpu")
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], recorder)
    for n in range(8):
        plain.step(batches(n)), graphs.take(batches(n))
    assert recorder.recorded == 0 and "_local_scalar_dense waits" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(plain.net.parameters(), toy.net.parameters(), strict=True))


def test_a_graph_is_made_anew_where_something_has_changed():
    toy, recorder = Toy(), Recorder()
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], recorder)

    def steps(number: int) -> int:
        before = recorder.recorded
        for n in range(number):
            graphs.check()
            graphs.take(batches(n))
        return recorder.recorded - before

    assert steps(8) == 1 and steps(8) == 0
    toy.net[1].eval()  # statistics that stay
    assert steps(WARM_UP) == 0 and steps(1) == 1 and steps(3) == 0
    toy.net[0].weight.requires_grad_(False)
    assert steps(8) == 1
    toy.optimizer.load_state_dict(copy.deepcopy(toy.optimizer.state_dict()))
    assert steps(8) == 1
    toy.net[0].bias.data = toy.net[0].bias.data.clone()
    assert steps(8) == 1


def test_a_schedule_that_changes_more_than_the_rate_ends_it(caplog):
    caplog.set_level("INFO")
    plain, toy, recorder = Toy(), Toy(), Recorder()
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], recorder)
    schedules = [torch.optim.lr_scheduler.OneCycleLR(each.optimizer, 0.1, 20) for each in (plain, toy)]
    for n in range(9):
        plain.step(batches(n)), graphs.take(batches(n))
        for schedule in schedules:
            schedule.step()
    assert recorder.replays == 1 and "settings beside its learning rate" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(plain.net.parameters(), toy.net.parameters(), strict=True))


def test_memory_that_a_step_makes_is_in_no_graph(caplog):
    class Calls(Recorder):
        def record(self, function):
            toy.net.register_buffer("late", torch.ones(1))
            return super().record(function)

    caplog.set_level("INFO")
    toy = Toy()
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], Calls())
    for n in range(WARM_UP + 1):
        graphs.take(batches(n))
    assert graphs.ended and "a step makes memory that lasts" in caplog.text


def test_many_kinds_of_batches_and_batches_of_others(caplog):
    caplog.set_level("INFO")
    toy, recorder = Toy(), Recorder()
    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], recorder)
    for n in range(graph.MOST + 1):
        for _ in range(WARM_UP + 1):
            graphs.take(batches(0, side=3 + n))
    assert recorder.recorded == graph.MOST and graphs.ended and "more than 8 kinds" in caplog.text

    class Pair:
        lr, hr = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)

    graphs = Graphs(toy.step, lambda: list(toy.net.modules()), [toy.optimizer], recorder)
    assert graphs.take([Pair]) and "a batch is a type, not a named tuple" in caplog.text


def trained(model, loss: nn.Module, scale: int) -> str:
    """What a step of a model on a device that computes nothing does that no graph can hold."""
    lr, hr = (torch.empty(3, 3, side, side, device="meta") for side in (24, 24 * scale))
    with Watch("meta") as watch, NoNumbers():
        terms = model.training_terms(Batch(lr, hr, scale, ["a", "b", "c"], [False] * 3), loss)
        torch.stack(list(terms.values())).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
    return watch.found


@pytest.mark.parametrize("name", [pytest.param(m, marks=() if m in QUICK else pytest.mark.slow) for m in MODELS])
def test_no_model_waits_for_its_device_or_its_host(name):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        node = OmegaConf.to_container(hydra.compose(f"model/{name}", overrides=["+scale=2"]).model, resolve=False)
    supported = hydra.utils.get_class(node["_target_"]).supported_scales
    scale = 2 if 2 in supported else supported[0]
    node = OmegaConf.create({"model": node, "scale": [2, 3, 4] if "mdsr" in name else scale, "seed": 0}).model
    model = hydra.utils.instantiate(node).to("meta")
    assert trained(model, WeightedSum({"l1": {"weight": 1.0, "loss": nn.L1Loss()}}), scale) == ""


def test_a_loss_whose_shares_python_counts_is_in_no_graph(monkeypatch):
    """DRCN would have been trained with the shares of its fourth step to the end."""
    monkeypatch.setattr(graph, "capture_for", lambda device: Recorder)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")), callbacks=[])
    setup = SimpleNamespace(loss=nn.L1Loss())
    for network, told in ((DRCN(2, 2, 4), "the shares of DRCN's loss change with the steps"), (SRCNN(2), "")):
        network._training_setup = setup
        assert why_no_graph(trainer, network, []) == told


def test_the_watch_finds_what_it_looks_for():
    x, on_host = torch.ones(3, device="meta"), torch.ones(3)
    for wrong, told in (
        (lambda: x.copy_(on_host), "copy_ works on the host"),
        (lambda: on_host.to("meta"), "_to_copy works on the host"),
        (lambda: torch.zeros(()).to("meta"), "_to_copy works on the host"),
        (lambda: torch.zeros(2), "zeros works on the host"),
        (lambda: x * torch.ones(()), ""),
    ):
        with Watch("meta") as watch:
            wrong()
        assert watch.found == told
    for wrong, told in (
        (lambda: on_host.sum().item(), "_local_scalar_dense waits for what the device computes"),
        (lambda: on_host[on_host > 0], "index waits for what the device computes"),
        (lambda: bool(on_host.any()), "_local_scalar_dense waits for what the device computes"),
        (lambda: torch.tensor(1.0), "a tensor is made of Python's numbers"),
    ):
        with Watch("cpu") as watch:
            wrong()
        assert watch.found == told


def test_no_loss_waits_for_its_device_or_its_host(vgg_file):
    def vgg(layers):
        return VGG19Features(layers=layers, weights=str(vgg_file))

    model = SRResNet(4, num_blocks=1, channels=4).to("meta")
    plain = {"l2": nn.MSELoss(), "charbonnier": Charbonnier(), "tv": TotalVariation(),
             "sum": PerImage(nn.MSELoss(reduction="sum")),
             "contrast": Contrastive(RandomFeatures, {"tanh": 1.0, "conv2": 0.5}),
             "others": Contrastive(vgg, {"relu1_1": 1.0}, negatives=2)}  # fmt: skip
    loss = WeightedSum({name: {"weight": 0.1, "loss": each} for name, each in plain.items()}, value_range=255.0)
    assert trained(model, loss.to("meta"), 4) == ""


@pytest.mark.slow
def test_no_game_waits_for_its_device_or_its_host():
    model = SRResNet(4, num_blocks=1, channels=4).to("meta")
    for criterion in (Vanilla(), LeastSquares(), Hinge(), Relativistic()):
        for discriminator in (SRGANDiscriminator(channels=4), VGGStyleDiscriminator(channels=4)):
            game = Adversarial(discriminator, criterion, torch.optim.Adam, lambda o: o).to("meta")
            assert trained(model, WeightedSum({"gan": {"weight": 1.0, "loss": game}}), 4) == ""
            with Watch("meta") as watch, NoNumbers():
                images = torch.empty(2, 3, 96, 96, device="meta")
                game.discriminator_loss(images, images).backward()
            assert watch.found == ""


def test_what_is_asked_of_cuda_and_that_a_failed_recording_leaves_its_stream(monkeypatch):
    cuda = Mock()
    main = cuda.current_stream.return_value
    for name in ("Stream", "graph_pool_handle", "current_stream", "stream", "CUDAGraph", "get_rng_state",
                 "set_rng_state", "set_stream", "graph"):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    for name in ("stream", "graph"):
        getattr(cuda, name).return_value = MagicMock(**{"__exit__.return_value": False})
    capture = graph.capture_for(torch.device("cuda:0"))(torch.device("cuda:0"))
    side = cuda.Stream.return_value
    with capture.aside():
        cuda.stream.assert_called_once_with(side)
        side.wait_stream.assert_called_once_with(main)
        main.wait_stream.assert_not_called()
    main.wait_stream.assert_called_once_with(side)
    assert capture.record(lambda: None) is cuda.CUDAGraph.return_value.replay
    (asked,) = cuda.graph.call_args_list
    assert asked.kwargs == {"pool": capture.pool, "stream": side, "capture_error_mode": "thread_local"}
    cuda.set_stream.assert_not_called()

    cuda.graph.return_value.__exit__.side_effect = RuntimeError("the capture was invalidated")
    cuda.set_rng_state.side_effect = RuntimeError("not now")
    with pytest.raises(RuntimeError, match="invalidated"):
        capture.record(lambda: 1 / 0)
    cuda.set_stream.assert_called_once_with(main)
    cuda.set_rng_state.assert_called_once_with(cuda.get_rng_state.return_value, side.device)
    assert graph.capture_for(torch.device("cpu")) is None
