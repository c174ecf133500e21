"""Answers are strangers' files: what is wrong with one is said, and nothing else happens."""

import json
from dataclasses import replace

import numpy as np
import pytest
from raters import a_study, answered, saved

from sr.errors import UserError
from sr.study.agreement import alike, alpha, care
from sr.study.answers import Study, fitting, keys_for, read_rater, read_study, table

FINE = {"format": 1, "study": "s", "mode": "pairs", "rater": "r", "answers": [{"trial": 0, "choice": "first"}]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "of a newer version"),
        ({"format": None}, "its 'format' is None"),
        ({"mode": "best"}, "'mode' must be one of pairs, mos"),
        ({"mode": ["pairs"]}, "'mode' must be one of"),
        ({"rater": ""}, "names no 'rater'"),
        ({"rater": 7}, "'rater' must be a text"),
        ({"name": "x" * 81}, "'name' must be a text of 80 letters"),
        ({"answers": {}}, "'answers' must be a list"),
        ({"answers": [[0, "first"]]}, "answer 1 is"),
        ({"answers": [{"trial": 0, "choice": "left"}]}, "one of first, equal, second"),
        ({"answers": [{"trial": 0, "choice": 1}]}, "one of first, equal, second"),
        ({"answers": [{"trial": True, "choice": "first"}]}, "answer 1 is"),
        ({"answers": [{"trial": 0.0, "choice": "first"}]}, "answer 1 is"),
        ({"answers": [{"trial": 0, "choice": {}}]}, "answer 1 is"),
        ({"answers": [{"trial": 0, "choice": "first"}] * 2}, "answer 2 is the second one to trial 0"),
        ({"mode": "mos", "answers": [{"trial": 0, "choice": 6}]}, "one of 1, 2, 3, 4, 5"),
        ({"mode": "mos", "answers": [{"trial": 0, "choice": True}]}, "one of 1, 2, 3, 4, 5"),
    ],
)
def test_what_no_page_saves_is_refused(tmp_path, change, told):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(FINE | change))
    with pytest.raises(UserError) as error:
        read_rater(file)
    assert told in str(error.value) and str(file) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '"a"', '{"format": NaN}', "\x00", "ÿ"])
def test_what_is_no_json_is_refused(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("latin-1"))
    for read in (read_rater, read_study):
        with pytest.raises(UserError, match=r"a\.json: is no (file of answers|key of a study)"):
            read(file)
    file.write_bytes(b" " * 2_000_001)
    with pytest.raises(UserError, match=r"a\.json is refused: it has 2,000,001 bytes"):
        read_rater(file)
    with pytest.raises(UserError, match="no such file"):
        read_rater(tmp_path / "b.json")


def test_a_key_is_read_as_it_was_written_and_one_that_is_none_is_refused(tmp_path):
    file, study = tmp_path / "key.json", a_study()
    study.write(file)
    assert read_study(file) == study
    content = json.loads(file.read_text())
    trials = [[{"crop": crop, "shown": shown}] for crop, shown in ((99, [0, 1]), (0, [0]), (0, [0, 9]), (0, [[], {}]))]
    changes = [{"models": []}, {"mode": "x"}, {"crops": [1]}, {"scale": "many"}, *({"trials": of} for of in trials)]
    for change in changes:
        file.write_text(json.dumps(content | change))
        with pytest.raises(UserError, match="is no key of a study"):
            read_study(file)


def test_a_key_of_more_trials_than_anybody_answers_is_refused(tmp_path):
    """Small files of answers to it took gigabytes and half an hour."""
    study, file = a_study(), tmp_path / "key.json"
    replace(study, trials=study.trials * 300).identified().write(file)
    with pytest.raises(UserError, match=r"is no key of a study: it has 23,100 trials, where 20,000 are most"):
        read_study(file)


def test_a_key_of_another_study_is_kept_and_one_that_was_changed_is_none(tmp_path, caplog):
    first, second = a_study(), a_study("mos")
    for study in (first, second, second):
        study.write(tmp_path / "key.json")
    raters = [read_rater(saved(tmp_path / f"{n}.json", s, [], "r")) for n, s in enumerate((first, second))]
    assert {id: read_study(file) for id, file in keys_for(raters, None).items()} == {s.id: s for s in (first, second)}
    strange = json.loads((tmp_path / "key.json").read_text())
    strange["models"].reverse()  # somebody sends it with answers: the ranking was turned round without a word
    (tmp_path / "key.0.json").write_text(json.dumps(strange))
    assert keys_for(raters, None)[second.id] == tmp_path / "key.json" and "key.0.json: is no key" in caplog.text
    with pytest.raises(UserError, match="something in it was changed"):
        keys_for(raters, str(tmp_path / "key.0.json"))
    assert keys_for(raters, str(tmp_path)) == keys_for(raters, None), "a folder's keys of former pages, too"
    (tmp_path / "key.json").write_text("mine")
    with pytest.raises(UserError, match="is no key of a study"):
        first.write(tmp_path / "key.json")


def test_answers_to_trials_that_there_are_not_are_refused(tmp_path):
    rater = read_rater(saved(tmp_path / "a.json", a_study(), [{"trial": 77, "choice": "first"}], "r"))
    with pytest.raises(UserError, match="there is no trial 77 in the study, which has 77"):
        fitting(rater, a_study())
    with pytest.raises(UserError, match="its 'mode' is pairs, that of the study is mos"):
        fitting(rater, a_study("mos"))


def rater_of(tmp_path, study: Study, answers, mirrored=False):
    return read_rater(saved(tmp_path / "a.json", study, answers, "r", mirrored=mirrored))


def test_who_does_not_look_is_caught(tmp_path):
    study = a_study(catch=6)
    catch = [n for n, trial in enumerate(study.trials) if trial.catch]
    answers = answered(study, 0)
    assert not care(rater_of(tmp_path, study, answers), study).failed
    for n in catch[:1]:
        answers[n]["choice"] = "equal"
    found = care(rater_of(tmp_path, study, answers), study)
    assert (found.right, found.asked, found.failed) == (5, 6, False)
    answers[catch[1]]["choice"] = "second" if study.trials[catch[1]].shown[0] == "HR" else "first"
    assert care(rater_of(tmp_path, study, answers), study).failed
    assert not care(rater_of(tmp_path, study, []), study).failed

    left = [{"trial": n, "choice": "first"} for n, trial in enumerate(study.trials) if not trial.catch]
    assert care(rater_of(tmp_path, study, left), study).left == 1
    assert care(rater_of(tmp_path, study, left, mirrored=True), study).left == 0

    study = a_study("mos", catch=3)
    answers = answered(study, 0)
    assert (care(rater_of(tmp_path, study, answers), study).right, study.mode) == (3, "mos")
    for answer in answers:
        answer["choice"] = 3
    assert care(rater_of(tmp_path, study, answers), study).failed


def test_agreement():
    """The example of four raters and 12 units in Krippendorff, 2011: nominal 0.743, interval 0.849."""
    nan = np.nan
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3]
    c = [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan]
    four = np.array([a, b, c, d], float)
    assert alpha(four, ordered=False) == pytest.approx(0.743, abs=5e-4)
    assert alpha(four, ordered=True) == pytest.approx(0.849, abs=5e-4)
    assert alpha(np.array([[1, 1], [1, 1.0]]), ordered=False) is None and alpha(four[:1], ordered=True) is None
    assert alike(np.array([[1, 0, 1], [1, 1, nan], [nan, nan, nan]])) == pytest.approx([0.5, 0.5, nan], nan_ok=True)
    assert table([], 3).shape == (0, 3)


def test_what_editors_and_fields_make_of_a_file_is_read(tmp_path):
    """A mark of byte order, and half an emoji where the field's length cuts it."""
    file = tmp_path / "a.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(FINE | {"name": "Ann \ud83d", "rater": "b\ud83d"}).encode())
    assert (read_rater(file).name, read_rater(file).id) == ("Ann ?", "b?")


def test_a_key_without_models_or_with_thousands_is_refused(tmp_path):
    study = a_study(pairs=4, catch=2)
    for models in ((), study.models[:1], study.models * 40):
        trials = tuple(t for t in study.trials if t.catch)
        replace(study, models=models, trials=trials).write(tmp_path / f"{len(models)}.json")
        with pytest.raises(UserError, match=f"it has {len(models)} models"):
            read_study(tmp_path / f"{len(models)}.json")
