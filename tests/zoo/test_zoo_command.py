"""weights= as a user types it, on tiny files and generated photos."""

import csv

import pytest
import torch

from sr.zoo import __main__ as zoo
from sr.zoo.entries import ENTRIES, get_entry


def test_files_by_path_beside_each_other(command, authors_file, photos, tmp_path):
    photos(tmp_path / "images", 2)
    first, _ = authors_file("RLFN", "one.pth")
    second, _ = authors_file("BSRN", "two.pth")
    typed = [f"weights=[{first},{second}]", "data=[folder]", f"data.root={tmp_path / 'images'}", "panels=0"]
    typed.append("zoo.range=own")
    done = command("evaluate.py", *typed)
    assert done.code == 0, done
    with (done.folder / "results.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert {r["model"] for r in rows} == {"bicubic", "one (unproved)", "two (unproved)"}
    assert {r["scale"] for r in rows} == {"2"} and all(r["paper_psnr"] == "" for r in rows)


def test_refusals_end_with_a_message(command, authors_file, tmp_path):
    part, _ = authors_file("RLFN", "part.pth", wrap=lambda s: {k: v for k, v in s.items() if "esa.conv_f" not in k})
    done = command("evaluate.py", f"weights={part}", "data=[bundled]")
    assert done.code == 1 and "Missing (4): block_1.esa.conv_f.bias" in done.err and "Traceback" not in done.err
    done = command("evaluate.py", "weights=rlfn_x9", "data=[bundled]", folder="b")
    assert done.code == 1 and "Did you mean" in done.err
    done = command("evaluate.py", "weights=rlfn_x4", f"zoo.dir={tmp_path}", "zoo.download=false", folder="c")
    assert done.code == 1 and "github bytedance/RLFN" in done.err and "8c7edb57dfc8" in done.err
    done = command("evaluate.py", f"weights={part}", "model=rlfn", folder="d")
    assert done.code == 1 and "leave model= out" in done.err


def test_only_the_papers_file_stands_beside_the_paper(tmp_path):
    """A stranger's of the same size is another training; our own runs follow the paper's recipe."""
    from sr.measuring.entries import paper_of, published_name
    from sr.models.bsrn import BSRNS
    from sr.zoo.families import recognise
    from sr.zoo.load import FAMILIES, load

    family = next(f for f in FAMILIES if f.name == "BSRN-S")
    model = BSRNS(4)
    state = {family.theirs(k, model): torch.zeros_like(v) for k, v in model.state_dict().items()}
    _, node = recognise(state, FAMILIES, "test")
    assert published_name(node) == "bsrn_s"
    assert published_name(node | {"num_blocks": 2}) == ""
    torch.save(state, tmp_path / "same.pth")
    loaded = load(str(tmp_path / "same.pth"), tmp_path, range_="own")
    assert paper_of(loaded.model.metadata) == ""
    assert paper_of({"model": node, "name": "bsrn_s"}) == "bsrn_s"
    # An earlier stage's, but of another scale: SRResNet, as SRGAN's first stage, stood beside the paper's SRGAN.
    stages = {"first": {"scale": 2}, "second": {}, "last": {}}
    for number, scale, known in ((1, 2, True), (2, node["scale"], False), (3, node["scale"], True)):
        told = {"stage": {"number": number, "of": 3}, "config": {"scale": node["scale"], "stages": stages}}
        own = {"model": node | {"scale": scale}, "name": "bsrn_s"}
        assert bool(paper_of(own | told)) == known, number


@pytest.mark.parametrize("word", ["zoo.dir={}", "dir={}", "--dir={}"])
def test_keys_are_taken_as_the_other_commands_take_them(capsys, tmp_path, word):
    zoo.main(["list", word.format(tmp_path)])
    assert f"where it is below {tmp_path} (--dir)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lst"], r"error: sr zoo: .*'lst'.* Did you mean list\? All that it takes: sr zoo --help"),
        (["list", "--dri=x"], r"error: sr zoo list: unrecognized arguments: --dri=x\. Did you mean --dir\?"),
        (["list", "zoo.download=false"], r"sr zoo list: unrecognized arguments: zoo.download=false\. .*list --help"),
        (["save", "a"], r"error: sr zoo save: the following arguments are required: checkpoint\. All"),
    ],
)
def test_what_is_typed_wrong_is_told_with_what_is_near(words, told):
    with pytest.raises(SystemExit, match=told):
        zoo.main(words)


def test_the_list_names_every_entry(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"")
    text = zoo.listing(tmp_path)
    assert all(entry.name in text for entry in ENTRIES)
    lines = {line.split()[0]: line for line in text.splitlines()[2:]}
    assert "published" in lines["edsr_x4"] and lines["edsr_x4"].endswith("EDSR/models/edsr_x4-4f62e9ef.pt")
    assert "srgan_leftthomas_x8: no figure, as its author gives PSNR of single pictures" in text
    assert " -  " in lines["realesr_general_v3_x4"] and "measured" in lines["rlfn_x4"]


def test_entries_are_consistent(root):
    assert len({e.name for e in ENTRIES}) == len(ENTRIES) == 89
    for e in ENTRIES:
        assert len(e.sha256) in (64, 8, 0) and get_entry(e.name) is e
        assert (e.psnr is None) == (e.figure == "") == bool(e.reason), "without a figure it is told why"
        assert e.figure in ("measured", "published", "")
        assert e.figure != "measured" or len(e.sha256) == 64, "who has measured a file knows its checksum"
        assert e.sha256 or (e.path and (e.url or e.origin.page)), "it is found by its name, and its place is told"
        assert e.name.endswith(f"_x{e.scale}") or e.model == "basicvsr", "which has files for data sets, all x4"
        assert (root / f"conf/model/{e.model}.yaml").is_file()


def test_a_file_may_claim_figures_of_a_zoo_entry_of_its_own_architecture_alone():
    from sr.measuring.entries import paper_of

    bsrn = {"_target_": "sr.models.bsrn.BSRN", "scale": 4, "channels": 64, "num_blocks": 8}
    clips = {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": 30, "channels": 64}
    lapsrn = {"_target_": "sr.models.lapsrn.LapSRN", "scale": 8}
    for node, told, held in (
        (bsrn, "bsrn", "bsrn"),
        (bsrn | {"num_blocks": 7}, "bsrn", ""),
        (bsrn, "rlfn", ""),
        (bsrn, "edsr", ""),
        (bsrn, "", ""),
        (bsrn, ["bsrn"], ""),
        (clips, "basicvsr_vimeo_bi", "basicvsr_vimeo_bi"),  # settings that it does not tell are the class's own
        (clips | {"align": False}, "basicvsr_vimeo_bi", ""),
        (lapsrn, "lapsrn", "lapsrn"),
    ):
        assert paper_of({"name": "x", "model": node, "published": told}) == held, (node, told)
