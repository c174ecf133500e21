"""Networks on clips over films: what they make of a frame is what they make of the clip that they may see."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_networks import MAKERS, clip

from sr.deploy.enlarger import Enlarger
from sr.deploy.films import making, pieces, work
from sr.deploy.films.making import OVERLAP, Parts, Window, in_parts, longest, sliding
from sr.errors import UserError
from sr.imaging.ensemble import self_ensemble


@dataclass
class Decoded:
    """A film as far as its frames go."""

    frames: torch.Tensor  # (T, 3, h, w)
    source: Path = Path("film.mp4")

    @property
    def times(self):
        return range(len(self.frames))

    @property
    def size(self):
        return tuple(self.frames.shape[-2:])

    def pixels(self, start=0):
        return iter(self.frames.movedim(1, -1).numpy()[start:])


def film(frames: int) -> Decoded:
    return Decoded(clip(frames, 16, 20)[0])


def large(found) -> torch.Tensor:
    return torch.stack([torch.from_numpy(frame.large.colour) for frame in found]).movedim(-1, 1)


def whole(model, frames: torch.Tensor, ensemble: bool = False) -> torch.Tensor:
    with torch.inference_mode():
        made = self_ensemble(model, frames[None]) if ensemble else model(frames[None])
    return made[0].clamp(0, 1)


def close(found, wanted) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("edges", ["replicate", "reflection", "reflection_circle", "circle"])
@pytest.mark.parametrize(("length", "start"), [(1, 0), (3, 0), (9, 4)])
def test_a_window_slides(edges, length, start):
    model = MAKERS["edvr"](edges=edges).eval()
    enlarger, seen = Enlarger(model), film(length)
    found = list(sliding(enlarger, seen, enlarger.how(), start, model.reach))
    close(large(found), whole(model, seen.frames)[start:])
    assert all(np.array_equal(f.small.colour, p) for f, p in zip(found, seen.pixels(start), strict=True))


def test_a_window_keeps_no_more_than_it_needs():
    window = Window(film(40).pixels(), 0, 40, 9)
    assert [len(window[n]) for n in range(36)] and len(window.kept) == 9


@pytest.mark.parametrize("start", [0, 4])
@pytest.mark.parametrize("ensemble", [False, True])
def test_what_fits_is_seen_whole(start, ensemble):
    model = MAKERS["basicvsr"](align=False).eval()
    enlarger, seen = Enlarger(model), film(6)
    found = in_parts(enlarger, seen, enlarger.how(ensemble=ensemble), start, Parts(6, 6))
    close(large(found), whole(model, seen.frames, ensemble)[start:])
    assert str(Parts(6, 6)) == "the whole film at once"


@pytest.mark.parametrize("start", [0, 17])
def test_parts_are_exact_within_what_they_see(start, monkeypatch):
    monkeypatch.setattr(making, "OVERLAP", 2)
    model = MAKERS["basicvsr"](align=False).eval()
    enlarger, seen, parts = Enlarger(model), film(25), Parts(25, 12)
    assert parts.spans == [range(6), range(6, 12), range(12, 18), range(18, 25)]
    wanted = []
    for span in parts.spans:
        around = parts.seen(span)
        assert len(around) <= 12 and min(span.start, 2) == span.start - around.start
        made = whole(model, seen.frames[around.start : around.stop])
        wanted.append(made[span.start - around.start :][: len(span)])
    close(large(in_parts(enlarger, seen, enlarger.how(), start, parts)), torch.cat(wanted)[start:])
    assert "in 4 parts of up to 7 frames, exact within each, and 2 more on either side" in str(parts)


@pytest.mark.parametrize("total", [1, 29, 30, 31, 100, 1000])
@pytest.mark.parametrize("most", [30, 31, 57])
def test_parts_cover_a_film(total, most):
    parts = Parts(total, most)
    assert [n for span in parts.spans for n in span] == list(range(total))
    assert max(len(parts.seen(span)) for span in parts.spans) <= most


def test_the_room_decides_and_what_is_too_little_is_refused_with_what_is_enough():
    model = MAKERS["basicvsr"](align=False).eval()
    enlarger, seen = Enlarger(model), film(100)
    each = 16 * 20 * (12 + 4 * model.channels)
    assert longest(model, seen, enlarger.how(), 50.5 * each / 2**30) == 50
    assert longest(model, seen, enlarger.how(), None) > 100
    with pytest.raises(UserError, match=r"9 frames fit.*clip_room=") as told:
        longest(model, seen, enlarger.how(), 9.5 * each / 2**30)
    enough = float(re.search(r"clip_room=([\d.]+)", str(told.value))[1])
    assert longest(model, seen, enlarger.how(), enough) >= 3 * OVERLAP
    with pytest.raises(UserError, match="clip_room"):
        longest(model, seen, enlarger.how(ensemble=True), 50.5 * each / 2**30)


def test_a_network_that_gives_no_numbers_is_refused():
    model = MAKERS["edvr"]().eval()
    next(model.tail.parameters()).data.fill_(float("nan"))
    enlarger = Enlarger(model)
    with pytest.raises(UserError, match="no numbers"):
        next(sliding(enlarger, film(3), enlarger.how(), 0, model.reach))


def test_a_film_through_a_network_on_clips_goes_on_where_it_was_killed(tmp_path, monkeypatch, caplog):
    pytest.importorskip("av", reason="PyAV is not installed")
    from small_films import enlarged, moving, pixels, write

    monkeypatch.setattr(pieces, "LENGTH", 3)
    monkeypatch.setattr(work, "LENGTH", 3)
    monkeypatch.setattr(making, "OVERLAP", 1)
    caplog.set_level("INFO")
    source = write(tmp_path / "a.mp4", moving(11, 16, 20))
    model = MAKERS["basicvsr"](align=False)
    asked = {"model": model, "clip_room": 5.5 * 16 * 20 * (12 + 4 * model.channels) / 2**30}
    target, told = enlarged(source, "whole.mp4", **asked)
    assert "in 4 parts of up to 3 frames" in told and "exact within each" in caplog.text
    made, parted = [], work.in_parts

    def stopped(*given):
        for frame in parted(*given):
            made.append(given[3])
            if len(made) == 8:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(work, "in_parts", stopped)
    with pytest.raises(KeyboardInterrupt):
        enlarged(source, **asked)
    monkeypatch.setattr(work, "longest", lambda *given: 11)  # the disk has more room now: nothing is parted anew
    again, _ = enlarged(source, **asked)
    assert made == [0] * 8 + [6] * 5
    assert all(np.array_equal(a, b) for a, b in zip(pixels(again), pixels(target), strict=True))
