"""study.py as a user types it: a page is made, its answers are read, what comes of them stands in a comparison."""

import csv
import json
import re
import shutil
from collections import Counter

import pytest
import torch
from PIL import Image
from raters import a_study, answered, saved

from sr.comparison.columns import Table
from sr.comparison.compare import _unseen
from sr.errors import UserError
from sr.models.ecbsr import ECBSR
from sr.models.mdsr import MDSR
from sr.runs.checkpoint import describe
from sr.scores import rated
from sr.study.answers import read_study
from sr.study.reading import told

EVIL = "</script><script>alert(1)</script>{{data}}$x$=A1"


@pytest.fixture
def nets(tmp_path, photos):
    """Checkpoints of networks that nobody trained, x2, and photos; what is typed for both."""
    photos(tmp_path / "photos", 3, 64, 96)
    for seed, name in enumerate((EVIL, "net_two", "net_three")):
        torch.manual_seed(seed)
        node = {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "num_blocks": 1, "channels": 4}
        state = ECBSR(scale=2, num_blocks=1, channels=4).state_dict()
        torch.save({"state_dict": state, "sr": describe(node, name, {})}, tmp_path / f"net{seed}.ckpt")
    return ["checkpoint=[net0.ckpt,net1.ckpt,net2.ckpt]", "benchmarks=[folder]", "data.root=photos", "crop_size=32"]


def page_data(folder):
    html = (folder / "study.html").read_text()
    return html, json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])


def read(file):
    with file.open(newline="") as f:
        return list(csv.DictReader(f))


def test_a_page_is_made_answered_read_and_compared(command, nets, tmp_path):
    done = command("study.py", *nets, "catch=4", "pairs=20", "out=made", folder="")
    assert done.code == 0 and "34 trials, 4 of them to catch" in done.out, done
    html, data = page_data(tmp_path / "made")
    study = read_study(tmp_path / "made/key.json")
    assert [m.label for m in study.models] == [EVIL, "net_two", "net_three"] and study.scale == 2
    hidden = ("net_", "alert(1)", "ecbsr", "net0", "0001", "spoiled", str(tmp_path))
    assert not [text for text in hidden if text in html]
    assert "default-src 'none'" in html and not re.findall(r'(?:src|href)="(?!data:,")[^"]', html)
    assert len(study.crops) == 6 and len({json.dumps(c["window"]) for c in study.crops if c["image"] == "0001"}) == 2
    assert len(data["trials"]) == 34 and data["study"] == study.id and len(data["pictures"]) == 3 * 6 + 2 * 4
    by_picture = Counter(number for trial in data["trials"] for number in trial["shown"])
    assert set(by_picture) == set(range(len(data["pictures"])))
    # The same picture stands for the same model and crop, wherever it is shown.
    pairs = [(t.crop, s, n) for t, of in zip(study.trials, data["trials"], strict=True)
             for n, s in zip(of["shown"], t.shown, strict=True)]  # fmt: skip
    assert len({(crop, shown) for crop, shown, _ in pairs}) == len(set(pairs)) == len(data["pictures"])

    again = command("study.py", *nets, "catch=4", "pairs=20", "out=again", folder="")
    assert again.code == 0 and (tmp_path / "again/study.html").read_text() == html, "the same words, the same page"

    for n in range(6):
        saved(tmp_path / f"a{n}.json", study, answered(study, n), f"rater{n}", name=f"=N{n}")
    saved(tmp_path / "later.json", study, answered(study, 0)[:9], "rater0", name="=N0")
    saved(tmp_path / "twin.json", study, answered(study, 9), "another", name="=n1")
    saved(tmp_path / "bad.json", study, [{"trial": n, "choice": "equal"} for n in range(34)], "careless", name=EVIL)
    files = ",".join(f"{name}.json" for name in ("a0", "a1", "a2", "a3", "a4", "a5", "later", "twin", "bad"))
    done = command("study.py", f"answers=[{files}]", "key=made", "out=told", folder="")
    assert done.code == 0, done
    assert "a0.json and later.json are of one rater, =N0: the former is taken" in done.out
    assert "2 raters are called =N1" in done.out and "a1.json, twin.json" in done.out
    assert re.search(r"left out, .*bad\.json\): 0 of 4 catch trials right", done.out)
    rows = read(tmp_path / "told/bt.csv")
    assert [r["entry"] for r in rows] == ["net_three", "net_two", EVIL]
    assert all(float(r["low"]) < float(r["value"]) < float(r["high"]) and r["raters"] == "7" for r in rows)
    assert sum(float(r["value"]) for r in rows) == pytest.approx(0) and {r["answers"] for r in rows} == {"140"}
    people = {r["file"]: r for r in read(tmp_path / "told/raters_bt.csv")}
    assert people["bad.json"]["counted"] == "False" and people["a0.json"]["rater"] == "'=N0"
    pairs = read(tmp_path / "told/pairs.csv")
    assert [int(r["preferred"]) + int(r["equal"]) + int(r["other_preferred"]) for r in pairs] == [70, 70, 70]
    assert float(pairs[0]["difference"]) == pytest.approx(float(rows[0]["value"]) - float(rows[1]["value"]))
    assert r"\<script\>" in (tmp_path / "told/bt.md").read_text()
    assert Image.open(tmp_path / "told/bt.png").width > 500

    typed = ["checkpoint=[net1.ckpt,net2.ckpt]", "study=told", "sort=bt", "crops=0"]
    compared = command("compare.py", *typed, folder="compared")
    assert compared.code == 0, compared
    shown = read(compared.folder / "table.csv")
    assert [r["entry"] for r in shown] == ["net_three", "net_two"]
    assert [r["study/bt"] for r in shown] == [r["value"] for r in rows[:2]]
    page = (compared.folder / "index.html").read_text()
    assert "Bradley-Terry, study" in page and "Bradley-Terry: log-odds" in page and "alert(1)</script>" not in page
    assert "rated in the study and no row here" in compared.out
    bicubic = rated.Rated("bicubic", "bicubic", "", "", 2, "bt", -1.0, -1.5, -0.5, 7, 9)
    assert _unseen([bicubic], Table([], [], []))[0].endswith("are known by name and place: bicubic"), "it was left out"
    other = torch.load(tmp_path / "net0.ckpt")["state_dict"]
    torch.save(torch.load(tmp_path / "net1.ckpt") | {"state_dict": other}, tmp_path / "net1.ckpt")
    later = command("compare.py", *typed, folder="later")
    assert "net_two is without the study's figure: the weights that people saw are no longer" in later.out, later
    figures = {r["entry"]: r["study/bt"] for r in read(later.folder / "table.csv")}
    assert figures == {"net_three": rows[0]["value"], "net_two": ""}
    refused = command("compare.py", *typed, "study=gone", folder="none")
    assert refused.code == 1 and "study=gone: bt.csv and mos.csv are not there" in refused.out + refused.err
    refused = command("compare.py", *typed, "study=[told,told]", folder="twice")
    assert refused.code == 1 and "told has a bt at x2, too" in refused.err
    shutil.copytree(tmp_path / "told", tmp_path / "theirs")
    (tmp_path / "theirs/bt.csv").write_text((tmp_path / "told/bt.csv").read_text().replace("net", "other"))
    refused = command("compare.py", *typed, "study=[told,theirs]", folder="two")
    assert refused.code == 1 and "have no common zero" in refused.err, "models of none in both"

    former = (tmp_path / "told/bt.md").read_text()
    few = ["study.py", "answers=[a0.json,a1.json]", "key=made", "out=told"]
    for kept in ("bt_2.csv", "bt_2.csv"):  # the second time they are the same
        assert command(*few, folder="").code == 0
        assert read(tmp_path / "told" / kept) == rows and not (tmp_path / "told/bt_3.csv").exists()
    assert (tmp_path / "told/bt_2.md").read_text() == former and (tmp_path / "told/bt_2.png").is_file()


def test_a_network_of_several_scales_is_shown_at_those_it_was_trained_for(command, nets, tmp_path):
    node = {"_target_": "sr.models.mdsr.MDSR", "scale": [2, 3, 4], "num_blocks": 1, "channels": 4}
    content = {"state_dict": MDSR([2, 3, 4], 1, 4).state_dict(), "sr": describe(node, "mdsr", {"scale": 2})}
    torch.save(content, tmp_path / "many.ckpt")
    words = ["checkpoint=many.ckpt", "baseline=true", *nets[1:], "crop_size=24", "catch=2", "images=1", "crops=1"]
    done = command("study.py", *words, "out=trained", folder="")
    assert done.code == 0 and read_study(tmp_path / "trained/key.json").scale == 2 and "not trained" not in f"{done}"
    done = command("study.py", *words, "scale=3", "out=other", folder="")
    assert done.code == 0 and "scale=3: mdsr was not trained for it" in f"{done}"


def test_opinions(command, nets, tmp_path):
    typed = ["mode=mos", "images=2", "crops=1", "baseline=true", "catch=1", "out=made"]
    done = command("study.py", *nets, *typed, folder="")
    assert done.code == 0 and "10 trials, 2 of them" in done.out, done
    study = read_study(tmp_path / "made/key.json")
    for n in range(5):
        saved(tmp_path / "made" / f"{n}.json", study, answered(study, n), f"rater{n}")
    done = command("study.py", "answers=made", "out=made", folder="")
    assert done.code == 0 and "Krippendorff's alpha" in done.out, done
    assert read_study(tmp_path / "made/key.json") == study
    assert "HR was shown of 1 of 2 crops, in catch trials" in (tmp_path / "made/mos.md").read_text()
    assert "Not all rated all pictures" not in (tmp_path / "made/mos.md").read_text()
    saved(tmp_path / "half.json", study, answered(study, 0)[:5], "rater0")
    done = command("study.py", "answers=half.json", "key=made/key.json", "out=half", folder="half")
    assert "Not all rated all pictures: a mean is over a model's answers" in (tmp_path / "half/mos.md").read_text(), (
        done
    )
    rows = {r["entry"]: r for r in read(tmp_path / "made/mos.csv")}
    assert list(rows) == ["HR", "bicubic", "net_three", "net_two", EVIL]
    assert float(rows["HR"]["value"]) == 5 and 1 <= float(rows[EVIL]["low"]) <= float(rows[EVIL]["value"]) < 3
    assert {(r["model"], r["dataset"]) for r in read(tmp_path / "made/sets.csv")} == {(m, "photos") for m in rows}
    compared = command("compare.py", "checkpoint=[net2.ckpt]", "study=made/mos.csv", "sort=mos", "benchmarks=[folder]",
                       "data.root=photos", "crops=0", folder="compared")  # fmt: skip
    shown = {r["entry"]: r["study/mos"] for r in read(compared.folder / "table.csv")}
    assert shown == {name: rows[name]["value"] for name in ("bicubic", "net_three")}


def test_few_raters_are_told_to_be_few(command, tmp_path):
    study = a_study()
    study.write(tmp_path / "key.json")
    saved(tmp_path / "a.json", study, answered(study, 0), "a")
    done = command("study.py", "answers=[a.json]", "out=told", folder="")
    assert done.code == 0 and "bootstrap over the answers of 1 rater, as fewer than 5" in done.out, done
    assert all(float(r["low"]) < float(r["value"]) < float(r["high"]) for r in read(tmp_path / "told/bt.csv"))


def test_what_cannot_be_is_refused_in_plain_words(command, nets, tmp_path):
    study = a_study(catch=4)
    saved(tmp_path / "a.json", study, answered(study, 0), "a")
    saved(tmp_path / "careless.json", study, [{"trial": n, "choice": "equal"} for n in range(len(study.trials))], "b")
    (tmp_path / "empty").mkdir()
    wrong = {
        ("answers=[a.json]", "checkpoint=net0.ckpt"): "answers= reads what was answered, checkpoint=",
        ("answers=[a.json]", "mode=mos"): "mode=mos is of a page that asks",
        ("key=key.json",): "type answers=[...] too",
        ("checkpoint=net0.ckpt", *nets[1:]): "one model has nothing to be compared with",
        (*nets, "mode=best"): "there are pairs and mos",
        (*nets, "crop_size=2"): "crop_size=2: must be 16 or more",
        ("benchmarks=[bundled]",): "nothing to show: type runs=",
    }
    for typed, said in wrong.items():
        done = command("study.py", *typed, "out=wrong", folder="")
        assert done.code == 1 and said in done.err and "Traceback" not in done.err, (typed, done)
        assert not (tmp_path / "wrong").exists()
    a_study().write(tmp_path / "other.json")
    saved(tmp_path / "strange.json", study, answered(study, 0), "a", study="another")
    wrong = {
        ("a.json", None): "no key.json lies beside it",
        ("a.json", "nowhere.json"): "nowhere.json: there is no such file",
        ("b.json", None): "b.json: there is no such file",
        ("empty", None): "there is no .json in it",
        ("strange.json", "other.json"): "other.json is of another one",
    }
    for (answers, key), said in wrong.items():
        with pytest.raises(UserError, match=re.escape(said)):
            told([answers], key, tmp_path / "wrong")
    twin = [a | {"choice": "equal"} for a in answered(study, 0)]
    saved(tmp_path / "twin.json", study, twin, "a")
    with pytest.raises(UserError, match=r"(?s)a\.json and twin\.json are of one rater.*not the same"):
        told(["a.json", "twin.json"], None, tmp_path / "wrong")
    study.write(tmp_path / "key.json")
    with pytest.raises(UserError, match=r"(?s)0 of 4 catch trials right.*nobody is left"):
        told(["careless.json"], None, tmp_path / "wrong")


def test_a_model_that_nobody_was_shown_has_no_figure(command, tmp_path):
    """Answers that were saved early; and none that compares anything is no study."""
    study = a_study(models=4, pairs=6, catch=2)
    study.write(tmp_path / "key.json")
    given = answered(study, 0)
    caught = [a for a in given if study.trials[a["trial"]].catch]
    few = caught + [a for a in given if set(study.trials[a["trial"]].shown) <= {0, 1}]
    saved(tmp_path / "a.json", study, few, "one")
    done = command("study.py", "answers=[a.json]", "out=told", folder="")
    assert done.code == 0 and "was shown net2, net3: left out" in done.out, done
    rows = read(next((tmp_path / "told").glob("**/bt.csv")))
    assert {row["entry"] for row in rows} == {"net0", "net1"}
    saved(tmp_path / "early.json", study, [a for a in few if a not in caught], "early")
    done = command("study.py", "answers=[early.json]", "out=early", folder="")
    assert "as they answered no catch trial: early" in done.out, done
    others = [a for a in given if set(study.trials[a["trial"]].shown) <= {2, 3} and a not in caught]
    saved(tmp_path / "two.json", study, few + others, "one")
    done = command("study.py", "answers=[two.json]", "out=groups", folder="")
    assert done.code == 0 and "Never compared" in done.out, done
    rows = rated.read([str(tmp_path / "groups")])
    assert {r.entry: r.group for r in rows} == {"net0": 1, "net1": 1, "net2": 2, "net3": 2}
    assert "Figures hold within each group" in rated.notes(["bt"], rows)[-1], "a comparison says it, too"
    saved(tmp_path / "b.json", study, caught, "two")
    done = command("study.py", "answers=[b.json]", "out=none", folder="")
    assert done.code == 1 and "there is nothing to say" in done.err, done
