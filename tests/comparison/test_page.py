"""The page of a comparison, opened from disk in a browser, and read as text where there is none."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from sr.comparison.columns import tabulate
from sr.comparison.crops import crop_groups, within
from sr.comparison.page import page
from sr.comparison.plots import cost_pictures, curves
from sr.comparison.rows import labelled, rows
from sr.measuring.scoring import Sample
from sr.scores.score import Score

EVIL = "</script><script>alert(1)</script>{{data}}&amp;"


def samples(labels, images=2, size=64):
    rng = np.random.default_rng(0)
    found = {label: [] for label in labels}
    for n in range(images):
        hr = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        for label in labels:
            sr = (hr * 0.9).astype(np.uint8) if label == "bicubic" else np.where(hr < 250, hr + 1, hr).astype(np.uint8)
            found[label].append(Sample(f"image{n}", hr[::2, ::2], sr, hr, "30.00 dB (y)"))
    return found


@pytest.fixture
def written(made_up, tmp_path):
    """A page of three runs on disk."""
    sources = labelled(
        [
            made_up("a", loss="l1", psnr=30.0),
            made_up("b", loss="l2", psnr=33.0),
            made_up("c", loss="l2", seed=1, psnr=29.0),
        ]
    )
    crops = crop_groups("Set5", 2, samples(["bicubic", *(s.label for s in sources)]), 32)
    html = page(tabulate(rows(sources)), [(s.label, s.run) for s in sources], crops, title=EVIL)
    file = tmp_path / "a page.html"
    file.write_text(html, encoding="utf-8")
    return file


def test_everything_is_inside(written):
    html = written.read_text()
    asked_for = re.findall(r"""\s(?:src|href)="([^"]*)"|url\(([^)]*)\)""", html)
    assert all(a.startswith(("data:", "#")) for pair in asked_for for a in pair if a)
    assert "default-src 'none'" in html and "<script src" not in html and "@import" not in html
    assert "alert(1)</script>" not in html  # escaped wherever it stands
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])
    assert data["crops"][0]["pictures"]["HR"][0].startswith("data:image/")
    assert [p["title"] for p in data["pictures"]] == ["Set5 x2, y", "Set5 x2, rgb"]


def test_points_of_papers_stand_beside_ours(made_up):
    points = cost_pictures(tabulate(rows(labelled([made_up("a", scale=4, bicubic=28.42)]))))[0]["points"]
    theirs = {p["label"]: p for p in points if p["paper"]}
    assert [p["label"] for p in points if not p["paper"]] == ["bicubic", "ecbsr_m4c8"]
    assert {"rlfn", "bsrn", "imdn"} <= set(theirs)
    assert [theirs["rlfn"][key] for key in ("psnr", "macs", "parameters")] == [32.24, 29_820_000_000, 543_740]


def test_long_curves_are_thinned_out(made_up):
    run = made_up("a").run
    run.curve[:] = [{"step": float(n), "train/loss": 1.0 / n, "val/psnr_y": float(n)} for n in range(1, 5001)]
    found = curves([("a", run)])
    assert next(iter(found)) == "val/psnr_y"
    assert len(found["train/loss"]["a"]) <= 400 and found["train/loss"]["a"][-1] == (5000.0, 1 / 5000)


def test_a_page_of_200_runs_is_small(made_up):
    runs = []
    for n in range(200):
        source = made_up(str(n), seed=n)
        source.run.curve[:] = [{"step": 10.0 * k, "val/psnr_y": 30 + 1 / k, "train/loss": 1 / k} for k in range(1, 401)]
        runs.append(source)
    sources = labelled(runs)
    html = page(tabulate(rows(sources)), [(s.label, s.run) for s in sources])
    found = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])["curves"]["train/loss"]
    assert len(html) < 3e6 and len(found) == 200
    assert all(len(line) >= 30 and line[0][0] == 10 and line[-1] == [4000, 0.0025] for line in found.values())


def test_what_is_not_finite_is_left_out(made_up):
    source = made_up("a")
    source.run.curve.extend([{"step": 40.0, "val/psnr_y": math.nan}, {"step": 50.0, "train/loss": math.inf}])
    source.run.scores.extend([Score("ecbsr_m4c8", "B100", 2, "y", "psnr", math.nan, 5)])
    source.run.scores[4] = dataclasses.replace(source.run.scores[4], value=math.inf)
    sources = labelled([source, made_up("b", name="other")])
    html = page(tabulate(rows(sources)), [(s.label, s.run) for s in sources])
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    assert data["curves"]["val/psnr_y"]["ecbsr_m4c8"][-1] == [30.0, 28.0] and len(data["curves"]["train/loss"]) == 2
    assert [[p["label"] for p in c["points"] if not p["paper"]] for c in data["pictures"]][:2] == [
        ["bicubic", "ecbsr_m4c8", "other"],
        ["bicubic", "other"],
    ]
    assert 'data-value="inf"' not in html and 'data-value="nan"' not in html


def test_a_page_holds_so_many_pictures():
    groups = crop_groups("Set5", 2, samples(["bicubic", "m"], images=4), 32)
    assert groups[0]["size"] == (32, 32) and list(groups[0]["pictures"]) == ["HR", "LR", "bicubic", "m"]
    first = sum(len(uri) for (uri,) in groups[0]["pictures"].values())
    assert len(within(groups, largest=2 * first + 100)) in (2, 3) and len(within(groups, largest=1)) == 1


def test_the_table_sorts(browser, written):
    browser.open(written)
    entries = "[...document.querySelectorAll('tbody tr')].map(r => r.cells[0].textContent)"
    assert browser.run(entries)[0] == "bicubic"
    psnr = "[...document.querySelectorAll('thead th')].find(h => h.textContent.startsWith('Set5, y'))"
    browser.run(f"{psnr}.querySelector('button').focus()")
    browser.press("Enter", 13)
    assert browser.run(f"{psnr}.getAttribute('aria-sort')") == "descending"
    assert (
        browser.run(entries)
        == [f"ecbsr_m4c8 {s}" for s in ("loss=l2 seed=0", "loss=l1 seed=0", "loss=l2 seed=1")] + ["bicubic"]
        or browser.run(entries)[-1] == "bicubic"
    )
    browser.run(f"{psnr}.querySelector('button').click()")
    assert browser.run(entries)[0] == "bicubic" and browser.run(f"{psnr}.getAttribute('aria-sort')") == "ascending"
    assert browser.run("document.getElementById('shown').textContent") == "4 rows"
    browser.run("wanted.value = 'l2 seed=1'; wanted.dispatchEvent(new Event('input'))")
    assert browser.run("[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).length") == 1
    assert browser.run("document.getElementById('shown').textContent") == "1 of 4 rows"
    assert browser.complaints == []


def test_the_slider_and_the_error_map(browser, written):
    browser.open(written)
    browser.until("document.querySelector('.over').src && document.querySelector('.under').src")
    clip = "document.querySelector('.over').style.clipPath"
    assert browser.run(clip) == "inset(0px 50% 0px 0px)"
    browser.run("document.getElementById('crop-slider').focus()")
    for _ in range(5):
        browser.press("ArrowRight", 39)
    assert browser.run(clip) == "inset(0px 45% 0px 0px)"
    browser.run("document.querySelector('.pair').scrollIntoView({block: 'center'})")
    box = browser.run("(r => [r.left, r.top, r.width])(document.querySelector('.pair').getBoundingClientRect())")
    at = {"x": box[0] + box[2] / 4, "y": box[1] + 20, "button": "left", "clickCount": 1}
    browser.tell("Input.dispatchMouseEvent", type="mousePressed", **at)
    browser.tell("Input.dispatchMouseEvent", type="mouseReleased", **at)
    assert browser.run("Number(document.getElementById('crop-slider').value)") == pytest.approx(25, abs=1)
    assert "bicubic" in browser.run("document.querySelector('.under').alt")
    browser.run("document.getElementById('crop-error').click()")
    browser.until("document.querySelector('.under').alt.startsWith('Error map')")
    # The model is off by one, 4 after the gain, except where HR is nearly white in a channel.
    assert browser.run(OFF_BY_ONE) > 0.9
    zoom = "document.getElementById('crop-zoom')"
    browser.run(f"{zoom}.value = 7; {zoom}.dispatchEvent(new Event('input'))")
    assert browser.run("document.querySelector('.pair').style.width") == "224px"
    image = "document.getElementById('crop-image')"
    browser.run(f"{image}.value = 'Set5 x2: image1'; {image}.dispatchEvent(new Event('change'))")
    browser.until("document.querySelector('.over').alt.endsWith('crop of Set5 x2: image1')")
    assert browser.complaints == []


def test_a_clip_is_played_all_models_at_once(browser, made_up, tmp_path):
    frames = samples(["bicubic", "ours"], images=3)
    for label, shown in frames.items():
        frames[label] = [dataclasses.replace(s, name=f"city/{n:03d}", score=f"{n} dB") for n, s in enumerate(shown, 1)]
    clip = crop_groups("Vid4", 2, frames, 32, [3])
    assert [g["title"] for g in clip] == ["Vid4 x2: city, 3 frames"] and len(set(clip[0]["pictures"]["HR"])) == 3
    file = tmp_path / "clip.html"
    file.write_text(page(tabulate(rows([])), [], [*crop_groups("Set5", 2, samples(["bicubic"]), 32), *clip]))
    browser.open(file)
    player, image, frame = (f"document.getElementById('crop-{name}')" for name in ("player", "image", "frame"))
    assert browser.run(f"getComputedStyle({player}).display") == "none"  # of an image
    browser.run(f"{image}.value = 'Vid4 x2: city, 3 frames'; {image}.dispatchEvent(new Event('change'))")
    assert browser.run(f"getComputedStyle({player}).display") == "flex"
    strip = "[...document.querySelectorAll('.strip img')].map((i) => i.src)"
    for number, key in ((1, None), (2, "ArrowRight"), (3, "ArrowRight")):
        if key:
            browser.run(f"{frame}.focus()")
            browser.press(key, 39)
        assert browser.run(strip) == [uris[number - 1] for uris in clip[0]["pictures"].values()]
        assert browser.run("document.getElementById('crop-framed').textContent") == f"{number} of 3: city/{number:03d}"
        assert f", {number} dB: crop of Vid4" in browser.run("document.querySelector('.over').alt")
    browser.run("document.getElementById('crop-play').click()")
    browser.until(f"{frame}.value === '1'")  # it begins again
    browser.until(f"{frame}.value === '2'")
    browser.run("document.getElementById('crop-play').click()")
    stopped = browser.run(f"{frame}.value")
    assert browser.run(f"new Promise((done) => setTimeout(() => done({frame}.value), 400))") == stopped
    assert browser.complaints == []


def test_curves_are_read_with_the_keyboard(browser, written):
    browser.open(written)
    assert browser.run("document.querySelectorAll('#curves path').length") == 3
    browser.run("document.querySelector('#curves .chart svg').focus()")
    browser.press("ArrowLeft", 37)
    assert browser.run("document.querySelector('#curves .reading').textContent").startswith("Step 20: ecbsr_m4c8")
    browser.run("document.querySelector('.legend input').click()")
    assert browser.run("document.querySelectorAll('#curves path').length") == 2
    box = "document.getElementById('all-runs')"
    assert browser.run(f"[{box}.checked, {box}.indeterminate]") == [False, True]
    browser.run(f"{box}.click(); {box}.click()")  # all, and none
    assert browser.run("document.querySelector('#curves .chart').textContent") == "No run is chosen."
    browser.run("document.querySelectorAll('.legend input')[2].click()")  # one of many, by two presses
    assert browser.run("document.querySelectorAll('#curves path').length") == 1
    assert browser.run("document.querySelectorAll('#cost circle.ours').length") == 3
    names = browser.run("[...document.querySelectorAll('#cost text')].map((t) => t.textContent)")
    assert sum("ecbsr_m4c8" in name for name in names) == 1  # three runs of one network, named once
    assert any(name.startswith("ecbsr_m4c8") and name.endswith(", 3 rows") for name in names)


def test_names_in_the_cost_picture_never_overlap_and_outliers_are_at_the_edge(browser, made_up, tmp_path):
    sources = [made_up(str(n), name=f"network_{n}", scale=4, psnr=31.0 + 0.02 * n) for n in range(9)]
    sources = [*sources, made_up("x", name="untrained", scale=4, psnr=9.0)]
    for n, source in enumerate(sources):
        source.node["channels"] = 8 + n % 3
    file = tmp_path / "cost.html"
    file.write_text(page(tabulate(rows(labelled(sources)))))
    for width in (360, 700, 1400):
        browser.open(file, width=width)
        boxes = browser.run(NAMES)
        pairs = [(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :]]
        assert not [p for p in pairs if apart(*p) < 0] and all(box[0] >= 0 and box[2] <= width for box in boxes)
        told = browser.run("document.querySelector('#cost').textContent")
        assert all(f"network_{n}" in told for n in range(9)) and "untrained 9.00 dB" in told
        assert browser.run("document.querySelectorAll('#cost path.ours').length") == 1
    assert browser.complaints == []


def test_settings_that_the_shown_rows_share_are_hidden(browser, written):
    browser.open(written)
    heads = "[...document.querySelectorAll('thead th')].filter(h => !h.hidden).map(h => h.textContent)"
    assert browser.run(heads)[-2:] == ["loss", "seed"] or set(browser.run(heads)[-2:]) == {"loss", "seed"}
    browser.run("wanted.value = 'loss=l2'; wanted.dispatchEvent(new Event('input'))")
    assert browser.run(heads)[-1] == "seed" and "loss" not in browser.run(heads)
    browser.run("wanted.value = ''; wanted.dispatchEvent(new Event('input'))")
    assert "loss" in browser.run(heads)


def test_four_benchmarks_are_seen_at_1400_pixels_and_one_at_400(browser, made_up, tmp_path):
    source = made_up("a", name="a_network_with_a_long_name", loss="l1")
    other = made_up("b", name="a_network_with_a_long_name", loss="l2")
    for s in (source, other):
        s.run.scores[:] = [
            dataclasses.replace(score, dataset=name)
            for name in ("Set5", "Set14", "B100", "Urban100") for score in s.run.scores
        ]  # fmt: skip
    file = tmp_path / "sets.html"
    file.write_text(page(tabulate(rows(labelled([source, other])))))
    for width, seen in ((1400, 8), (400, 1)):
        browser.open(file, width=width)
        ends = browser.run("[...document.querySelectorAll('thead th')].map(h => h.getBoundingClientRect().right)")
        assert ends[seen] <= width, f"{seen} figures at {width} pixels"


def apart(a, b):
    """How far two boxes (left, top, right, bottom) are from each other; negative where they overlap."""
    return max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_no_request_leaves_the_page_at_any_width(browser, written, width, scheme):
    browser.open(written, width=width, scheme=scheme)
    browser.until("document.querySelector('.over').complete")
    away = [r for r in browser.requests if not r.startswith("data:")]
    assert away == [written.resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= width  # wide parts scroll in themselves
    assert browser.run("[...document.images].every(i => i.hasAttribute('alt'))")
    assert browser.run(CONTRAST) >= 4.5
    assert browser.complaints == []


def test_colours_can_be_chosen(browser, written):
    browser.open(written, scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(paper)
    for name in ("light", "dark", "as the system"):
        browser.run("document.getElementById('theme').click()")
        assert name in browser.run("document.getElementById('theme').textContent")
        assert (browser.run(paper) == light) == (name != "dark")


# Boxes of the names in the cost picture; those of the axes' own words are not among them.
NAMES = """[...document.querySelectorAll('#cost .chart text')].filter((t) => t.textContent.match(/network|untrained/))
  .map((t) => t.getBoundingClientRect()).map((b) => [b.left, b.top + 2, b.right, b.bottom - 2])"""

# The part of the upper picture's red values that are 4.
OFF_BY_ONE = """(async () => {
  const picture = document.querySelector('.over'); await picture.decode();
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 32;
  const pen = canvas.getContext('2d'); pen.drawImage(picture, 0, 0);
  const red = [...pen.getImageData(0, 0, 32, 32).data].filter((v, n) => n % 4 === 0);
  return red.filter((v) => v === 4).length / red.length; })()"""

# The least contrast (WCAG 2.1) of the words and lines of the page against what they stand on.
CONTRAST = """(() => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const probe = document.createElement('p'); document.body.append(probe);
  const of = (name) => { probe.style.color = `var(${name})`; return light(getComputedStyle(probe).color); };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const inks = ['--ink', '--faint', '--accent', ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => `--c${n}`)];
  const least = Math.min(...['--paper', '--panel'].flatMap((p) => inks.map((i) => ratio(of(i), of(p)))));
  probe.remove(); return least; })()"""
