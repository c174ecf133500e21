"""The page of a study, opened from disk in a browser, answered by keyboard, and its answers read."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from raters import a_study

from sr.comparison.crops import data_uri
from sr.study.answers import read_rater
from sr.study.page import page
from sr.study.reading import told

ANSWERABLE = "!document.getElementById('rate').hidden && !document.querySelector('#answers button').disabled"
COUNT = "document.getElementById('count').textContent"
CODES = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Backspace": 8}


def uris(study):
    """Of each model's crops pictures that tell the model by their grey level: 40, 60, ...; HR is white."""
    grey = {"HR": 255, "spoiled": 0} | {n: 40 + 20 * n for n in range(len(study.models))}

    def picture(crop, shown):
        image = np.full((32, 48, 3), grey[shown], np.uint8)
        image[: crop + 1, 0] = 9
        return data_uri(image)

    return [[picture(trial.crop, shown) for shown in trial.shown] for trial in study.trials]


@pytest.fixture
def opened(browser, tmp_path):
    """opened("pairs") -> the study whose page is open and begun."""

    def make(mode, width=1400, height=900, **more):
        study = a_study(mode, **more)
        study.write(tmp_path / "key.json")
        (tmp_path / "study.html").write_text(page(study, uris(study), equal=True), encoding="utf-8")
        browser.as_a_new_user()
        browser.tell("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        browser.open(tmp_path / "study.html", width, height)
        assert browser.run("!document.getElementById('start').hidden")
        browser.run("document.getElementById('name').value = 'Ann <b>'")
        browser.run("document.querySelector('#who button').click()")
        browser.until(ANSWERABLE)
        return study

    return make


LEVELS = """[...document.querySelectorAll('#stage img')].map((image) => {
  const pen = Object.assign(document.createElement('canvas'), { width: 48, height: 32 }).getContext('2d');
  pen.drawImage(image, 0, 0);
  return pen.getImageData(40, 30, 1, 1).data[0];
})"""


def answer(browser, key, number, of):
    """Press a key and wait for the next question."""
    assert browser.run(COUNT) == f"{number} of {of}"
    browser.press(key, CODES.get(key, ord(key.upper()[0])))
    after = (
        f"{COUNT} === '{number + 1} of {of}' && {ANSWERABLE}"
        if number < of
        else "!document.getElementById('end').hidden"
    )
    browser.until(after)


def downloaded(browser, folder: Path) -> Path:
    """What "save" saves; a former file has the same name."""
    for former in folder.glob("answers_*.json"):
        former.unlink()
    browser.run("document.getElementById(document.getElementById('end').hidden ? 'save-part' : 'save').click()")
    for _ in range(100):
        browser.run("new Promise((done) => setTimeout(done, 50))")
        if found := list(folder.glob("answers_*.json")):
            return found[0]
    raise AssertionError("nothing was saved")


def test_forty_answers_by_keyboard_with_a_reload_in_the_middle(browser, opened, tmp_path):
    """The brighter picture is preferred, on whichever side it stands; now and then they are equal."""
    study = opened("pairs", models=4, pairs=18, catch=4)
    total, sides = len(study.trials), []
    assert total == 40
    for number in range(1, total + 1):
        left, right = browser.run(LEVELS)
        equal = number % 13 == 0 and min(left, right) > 0  # but not HR and what is black
        sides.append("ArrowDown" if equal else "ArrowLeft" if left > right else "ArrowRight")
        answer(browser, sides[-1], number, total)
        if number == 17:  # a wrong key, taken back
            answer(browser, "ArrowDown", 18, total)
            browser.press("u", 85)
            browser.until(f"{COUNT} === '18 of 40' && {ANSWERABLE}")
        if number == 20:
            before = browser.run(LEVELS)
            browser.open(tmp_path / "study.html", 1400, 900)
            browser.until(f"{COUNT} === '21 of 40' && {ANSWERABLE}")
            assert browser.run(LEVELS) == before, "the same question as before the reload"
        if number == 25:
            assert len(json.loads(downloaded(browser, tmp_path).read_text())["answers"]) == 25
    assert 17 <= sides.count("ArrowLeft") <= 20 and browser.complaints == []
    file = downloaded(browser, tmp_path)
    content = json.loads(file.read_text())
    assert content["name"] == "Ann <b>" and file.name.startswith(f"answers_{study.id[:6]}_Ann_b_")
    rater = read_rater(file)
    assert sorted(rater.answers) == list(range(40)) and rater.label == "Ann <b>"
    expected = {
        "ArrowDown": 0.5,
        "ArrowLeft": 0.0 if rater.mirrored else 1.0,
        "ArrowRight": 1.0 if rater.mirrored else 0.0,
    }
    assert list(rater.answers.values()) == [expected[side] for side in sides]
    crops = [study.trials[n].crop for n in rater.answers]
    assert not [a for a, b in pairwise(crops) if a == b]

    told([str(file)], None, tmp_path / "told")
    lines = (tmp_path / "told/bt.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["net3", "net2", "net1", "net0"]
    assert browser.run("document.getElementById('saved').textContent").startswith("Saved as answers_")
    browser.run("document.getElementById('back').click()")
    browser.until(f"{COUNT} === '40 of 40' && {ANSWERABLE}")


def test_zoom_and_flip(browser, opened):
    opened("pairs", models=2, pairs=4, catch=0)
    place = "(() => {const i = document.querySelector('#stage img'); return [i.style.width, i.style.transform]})()"
    assert browser.run(place) == ["192px", "translate(0px, 0px)"] and browser.run("zoomed.textContent") == "4x"
    browser.press("+", 187)
    assert browser.run(place) == ["384px", "translate(-96px, -64px)"]
    box = browser.run("(r => [r.left, r.top])(document.querySelector('.window').getBoundingClientRect())")
    mouse = {"y": box[1] + 60, "button": "left", "clickCount": 1}
    browser.tell("Input.dispatchMouseEvent", type="mousePressed", x=box[0] + 60, **mouse)
    browser.tell("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + 90, buttons=1, **mouse)
    browser.tell("Input.dispatchMouseEvent", type="mouseReleased", x=box[0] + 90, **mouse)
    moved = "[...document.querySelectorAll('#stage img')].map((i) => i.style.transform)"
    assert browser.run(moved) == ["translate(-66px, -64px)"] * 2, "both move together"
    browser.press("-", 189)
    shown = "[...document.querySelectorAll('.pane')].map((p) => getComputedStyle(p).visibility)"
    assert browser.run(shown) == ["visible", "visible"]
    places = "[...document.querySelectorAll('.window')].map((w) => w.getBoundingClientRect().left)"
    browser.press("f", 70)
    assert browser.run(shown) == ["visible", "hidden"]
    first = browser.run(places)[0]
    browser.press("f", 70)
    assert browser.run(shown) == ["hidden", "visible"] and browser.run(places)[1] == first, "in the same place"
    browser.press("ArrowLeft", 37)
    browser.until(f"{COUNT} === '2 of 4' && document.getElementById('hint').textContent.startsWith('This is A')")
    assert browser.run("document.querySelector('#answers button').disabled"), "only one of the next pair was seen"
    browser.press("ArrowLeft", 37)
    browser.press("f", 70)
    browser.until(ANSWERABLE)
    browser.press("s", 83)
    answer(browser, "ArrowLeft", 2, 4)
    assert browser.run(shown) == ["visible", "visible"] and browser.complaints == []


@pytest.mark.parametrize(("width", "height"), [(400, 800), (1400, 900), (320, 560), (844, 390)])
def test_everything_is_seen_without_scrolling(browser, opened, width, height):
    opened("pairs", width, height, catch=0)
    elements = "[...document.querySelectorAll('.window, #answers button, .bar button')]"
    boxes = f"{elements}.map((e) => e.getBoundingClientRect())"
    within = f"r.left >= 0 && r.top >= 0 && r.right <= {width} && r.bottom <= {height} && r.width > 20"
    inside = f"{boxes}.every((r) => {within})"
    assert browser.run(inside), browser.run(f"JSON.stringify({boxes})")
    assert browser.run("document.documentElement.scrollHeight") <= height
    assert browser.run("document.getElementById('stage').classList.contains('column')") == (width < 500)


def test_opinions_are_keys(browser, opened, tmp_path):
    study = opened("mos", models=1, catch=1)
    for number in range(1, 13):
        (level,) = browser.run(LEVELS)
        answer(browser, {255: "5", 0: "1"}.get(level, "3"), number, 12)
    rater = read_rater(downloaded(browser, tmp_path))
    by_kind = {study.trials[n].shown[0]: value for n, value in rater.answers.items()}
    assert by_kind == {"HR": 5, "spoiled": 1, 0: 3} and browser.complaints == []


def test_what_stands_in_the_browser_is_not_trusted(browser, opened, tmp_path):
    study = opened("pairs", catch=0)
    answer(browser, "ArrowLeft", 1, 75)
    kept = f"localStorage['sr-study-{study.id}']"
    browser.run(
        f"(() => {{const s = JSON.parse({kept}); s.answers.push({{trial: 999}}); {kept} = JSON.stringify(s);}})()"
    )
    browser.open(tmp_path / "study.html")
    browser.until(f"{COUNT} === '2 of 75' && {ANSWERABLE}")
    for text in ("{", "null", "[]", '{"rater": 7}'):
        browser.run(f"{kept} = {text!r}")
        browser.open(tmp_path / "study.html")
        assert browser.run("!document.getElementById('start').hidden") and browser.complaints == []


def test_another_tab_of_the_page_takes_no_answers_away(browser, opened, tmp_path):
    """What one tab kept was written over by what the other one had begun with."""
    opened("pairs", models=2, pairs=8, catch=0)
    answer(browser, "ArrowLeft", 1, 8)
    url = (tmp_path / "study.html").resolve().as_uri()
    target = browser.tell("Target.createTarget", url=url, browserContextId=browser.user)["targetId"]
    other = browser.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    first, browser._session = browser._session, other
    browser.until("document.readyState === 'complete' && !!document.getElementById('count')")
    browser.until(f"{COUNT} === '2 of 8' && {ANSWERABLE}")
    browser._session = first
    answer(browser, "ArrowLeft", 2, 8)
    answer(browser, "ArrowLeft", 3, 8)
    browser._session = other
    try:
        browser.until(f"{COUNT} === '4 of 8' && {ANSWERABLE}")
    finally:
        browser._session = first
        browser.tell("Target.closeTarget", targetId=target)
