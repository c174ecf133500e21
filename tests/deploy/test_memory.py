"""Tiles in the memory that there is: smaller ones where it runs out, features in a file, and what does not fit."""

import copy
import gc
import inspect
import re
import typing
import weakref
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sr.deploy import exact, tiles
from sr.deploy.tiles import enlarge, strips
from sr.deploy.tiling import walk
from sr.deploy.tiling.maps import Map
from sr.deploy.tiling.nodes import Node, Rule
from sr.deploy.tiling.plan import peak, planned
from sr.deploy.tiling.recording import recorded
from sr.errors import UserError
from sr.models.edsr import EDSR
from sr.models.imdn import IMDN
from sr.models.rlfn import RLFN


@pytest.fixture
def rlfn():
    torch.manual_seed(0)
    return RLFN(2, num_blocks=2, channels=8, esa_channels=4).eval()


@pytest.fixture
def lr():
    return torch.rand(1, 3, 50, 90, generator=torch.Generator().manual_seed(1))


def whole(model, lr):
    with torch.no_grad():
        return model(lr)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory"), MemoryError()]
)
@pytest.mark.parametrize("blocks", [1, 3])
def test_tiles_are_halved_where_memory_runs_out(lr, monkeypatch, error, blocks):
    """In the middle of a map that is written over the one that it is made of, too."""
    torch.manual_seed(0)
    model = IMDN(2, num_blocks=blocks, channels=8, reduction=2).eval()
    make, made = walk.Walk._part, []

    def short_of_memory(self, node, region):
        made.append(region)
        if len(made) > 7 and region[0][1] - region[0][0] > 17:
            raise error
        return make(self, node, region)

    monkeypatch.setattr(walk.Walk, "_part", short_of_memory)
    torch.testing.assert_close(enlarge(model, lr, tile=40), whole(model, lr), rtol=0, atol=1e-5)


def test_a_whole_picture_that_does_not_fit_after_all_is_tiled(rlfn, lr, monkeypatch):
    expected = whole(rlfn, lr)
    monkeypatch.setattr(tiles, "_whole", lambda *_: None)
    torch.testing.assert_close(enlarge(rlfn, lr), expected, rtol=0, atol=1e-5)


def test_another_error_is_told(rlfn, lr, monkeypatch):
    monkeypatch.setattr(RLFN, "network", lambda self, x, scale: x.no_such_thing())
    with pytest.raises(AttributeError, match="no_such_thing"):
        enlarge(rlfn, lr)


def test_features_in_a_file(rlfn, lr, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "LEAST", 2**12)
    with pytest.raises(UserError, match=re.escape("picture of 90x50 take 0.0 GiB")):
        enlarge(rlfn, lr, memory=2**16)
    folder = tmp_path / "new" / "scratch"
    places = []

    class Told(walk.Map):
        def __init__(self, node, place=None, half=False):
            places.append(place)
            super().__init__(node, place, half)

    monkeypatch.setattr(walk, "Map", Told)
    torch.testing.assert_close(enlarge(rlfn, lr, memory=2**16, scratch=folder), whole(rlfn, lr), rtol=0, atol=1e-5)
    assert folder in places and not list(folder.iterdir())


def test_features_in_half_precision_take_half_and_are_never_called_exact(rlfn, lr, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "LEAST", 2**12)
    steps = planned(*recorded(rlfn, lr, 2, lr.device))
    assert tiles.kept_bytes(steps, half=True) < 0.6 * tiles.kept_bytes(steps)
    for given in ({"tile": 20}, {"memory": 2**16, "scratch": tmp_path}):
        found = enlarge(rlfn, lr, half=True, **given)
        assert 1e-5 < (found - whole(rlfn, lr)).abs().max() < 1e-2
    assert re.fullmatch(r"tiles \(\de-0[2345] from the whole\)", exact.told(rlfn, 2, lr.device, half=True))
    assert exact.told(rlfn, 2, lr.device).startswith("exact tiles")
    with torch.no_grad():
        rlfn.head.weight.mul_(1e6)
    with pytest.raises(UserError, match="too large for float16: leave half=true out"):
        enlarge(rlfn, lr, tile=20, half=True)


def test_what_is_taken_is_typed_and_told():
    taken, hints = inspect.signature(enlarge).parameters, typing.get_type_hints(enlarge)
    assert all(name in hints and f"\n        {name}: " in (enlarge.__doc__ or "") for name in taken)
    assert not [p for p in taken.values() if p.kind is p.VAR_KEYWORD]


def in_strips(model, lr, tile):
    defaults = {k: p.default for k, p in inspect.signature(enlarge).parameters.items() if p.kind is p.KEYWORD_ONLY}
    return list(strips(model, lr, None, **defaults | {"tile": tile}))


def test_rows_come_in_strips(lr):
    torch.manual_seed(0)
    model = EDSR(4, num_blocks=1, channels=8).eval()
    found = in_strips(model, lr, tile=20)
    assert [top for top, _ in found] == [0, 64, 132]
    assert all(rows.shape[::2] == (3, 360) for _, rows in found)
    assert not any(rows.is_inference() for _, rows in found)
    torch.testing.assert_close(torch.cat([rows for _, rows in found], 1)[None], whole(model, lr), rtol=0, atol=1e-5)


def test_few_rows_are_given_away_at_a_time(lr, monkeypatch):
    """Who takes them makes copies of them, and holds the former ones while the next are made."""
    torch.manual_seed(0)
    model = EDSR(4, num_blocks=1, channels=8).eval()
    monkeypatch.setattr(walk, "PIECE", 5 * 3 * 360 * 4)
    for tile, tops in ((20, [*range(0, 64, 5), *range(64, 132, 5), *range(132, 200, 5)]), (None, [*range(0, 200, 5)])):
        found = in_strips(model, lr, tile)
        assert max(rows.shape[1] for _, rows in found) == 5 and [top for top, _ in found] == tops
        assert tile is None or all(rows.untyped_storage().nbytes() <= walk.PIECE for _, rows in found)
        both = torch.cat([rows for _, rows in found], 1)[None]
        torch.testing.assert_close(both, whole(model, lr), rtol=0, atol=1e-5)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux tells it")
def test_a_part_that_is_read_from_the_file_leaves_the_rest_of_its_rows_there(tmp_path):
    """The system maps what lies around a page that is read: whole rows, of all channels, for a narrow tile."""
    node = Node((1, 8, 512, 4096), torch.float32, [], Rule(), device=torch.device("cpu"))
    kept = Map(node, tmp_path)
    kept.write(node.all, torch.ones(()).expand(node.shape))

    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    before, most, copy = pages(), [], torch.Tensor.copy_

    def seen(self, *given):
        found = copy(self, *given)
        most.append(pages())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "copy_", seen)
        part = kept.read(((0, 512), (1000, 1064)), torch.device("cpu"))
        assert part.sum() == part.numel() == 8 * 512 * 64
    most.append(pages())
    assert (max(most) - before) * 4096 < 2 * 512 * 4096 * 4  # two channels' rows, not eight


def test_a_model_in_training_is_refused(rlfn, lr):
    with pytest.raises(UserError, match=r"model\.eval\(\)"):
        enlarge(rlfn.train(), lr)


class Alive(TorchDispatchMode):
    """The most bytes that tensors made in it took at one time."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        given = {t.untyped_storage() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        for storage in {t.untyped_storage() for t in tree_leaves(found) if isinstance(t, torch.Tensor)} - given:
            if storage not in self.known:
                self.known.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.gone, storage.nbytes())
        self.most = max(self.most, self.now)
        return found

    def gone(self, size):
        self.now -= size


@pytest.mark.parametrize("model", [EDSR(2, num_blocks=1, channels=8), RLFN(2, 2, channels=8, esa_channels=4)])
def test_smaller_tiles_for_less_memory(model, lr, monkeypatch, tmp_path):
    """The estimate of what a tile takes decides, and holds: what is made for it never takes more."""
    monkeypatch.setattr(tiles, "LEAST", 2**10)
    make, seen = walk.Walk._part, []

    def watched(self, node, region):
        with Alive() as alive:
            part = make(self, node, region)
        seen.append((alive.most, peak(node, region, [*self.maps, *self.values]), self.room, region))
        return part

    monkeypatch.setattr(walk.Walk, "_part", watched)
    sides = []
    for memory in (2**17, 2**19):
        seen.clear()
        found = enlarge(model.eval(), lr, memory=memory, scratch=tmp_path)
        torch.testing.assert_close(found, whole(model, lr), rtol=0, atol=1e-5)
        assert all(made <= estimate <= room for made, estimate, room, _ in seen)
        assert max(made / estimate for made, estimate, *_ in seen) > 0.4  # the rest is for what torch takes inside
        sides.append(max(bottom - top for *_, ((top, bottom), _) in seen))
    assert sides[0] < sides[1]


def test_what_torch_keeps_of_a_gpu_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2000)
    assert tiles.free(torch.device("cuda")) == 3000


def test_a_network_is_followed_once_for_pictures_of_one_size(rlfn, lr, monkeypatch):
    """And anew once another size, factor or weight is asked for; what is kept goes with the network."""
    follow, followed = tiles.recorded, []

    def counted(*given):
        followed.append(given)
        return follow(*given)

    monkeypatch.setattr(tiles, "recorded", counted)
    for _ in range(3):
        close = {"rtol": 0, "atol": 1e-5}
        torch.testing.assert_close(enlarge(rlfn, lr, tile=40), whole(rlfn, lr), **close)
    assert len(followed) == 1
    with torch.no_grad():
        next(rlfn.parameters()).mul_(2)
    torch.testing.assert_close(enlarge(rlfn, lr, tile=40), whole(rlfn, lr), **close)
    enlarge(rlfn, lr[..., :40])
    enlarge(rlfn, lr[..., :40], self_ensemble=True)
    assert len(followed) == 4
    enlarge(gone := copy.deepcopy(rlfn), lr)
    assert gone in tiles._last
    left = weakref.ref(gone)
    followed.clear()
    del gone
    gc.collect()
    assert left() is None
