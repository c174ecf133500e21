"""A folder whose links lead out of it is refused before anything is written in it."""

import os

import pytest
from small_runs import changed

from sr.compose.words import Words
from sr.errors import UserError
from sr.runs import composed, occupied
from sr.runs.occupied import refuse_links
from sr.sweeps.command import prepared
from sr.whole import write_whole


@pytest.mark.parametrize("name", ["train.log", ".lock", "panels", "checkpoints/last.ckpt"])
@pytest.mark.parametrize("place", ["resume", "hydra.run.dir"])
def test_a_run_folder_whose_links_lead_out_of_it_is_refused_before_it_is_written_in(begun, tmp_path, name, place):
    (tmp_path / "outside").mkdir()
    (begun / "checkpoints").mkdir()
    (begun / "wandb/run").mkdir(parents=True)
    (begun / "wandb/run/debug-core.log").symlink_to(tmp_path / "outside")  # W&B's own
    (begun / "best").symlink_to(begun / "run.json")
    words = Words([f"resume={begun}", f"{place}={begun}"])
    assert composed.with_resumed_run(words)
    (begun / name).symlink_to(tmp_path / "outside/bashrc")
    if name == "checkpoints/last.ckpt":  # one's own link, which is replaced and not written through
        assert composed.with_resumed_run(words)
    else:
        with pytest.raises(UserError, match="is a link that leads out of it"):
            composed.with_resumed_run(words)
    with (begun / composed.RECORD).open("a") as record:
        record.write("\n# changed since\n")
    with pytest.raises(UserError, match="is a link that leads out of it"):
        composed.with_resumed_run(words)
    with pytest.raises(UserError, match="is a link that leads out of it"):
        prepared(["-m", f"hydra.sweep.dir={begun.parent}", "model=srcnn", "seed=0,1"])


def test_checkpoints_of_one_s_own_run_may_lie_on_another_disk(begun, tmp_path):
    (tmp_path / "large").mkdir()
    (begun / "checkpoints").symlink_to(tmp_path / "large")
    assert composed.with_resumed_run(Words([f"resume={begun}"]))
    with pytest.raises(UserError, match="is a link that leads out of it"):
        composed.with_resumed_run(Words([f"resume={changed(begun, tmp_path / 'theirs')}"]))


@pytest.mark.parametrize("link", ["multirun.yaml", "table.csv", "row"])
def test_a_sweep_whose_links_lead_out_of_it_is_refused_before_it_is_written_in(tmp_path, link):
    sweep, victim = tmp_path / "sweep", tmp_path / "victim"
    sweep.mkdir()
    write_whole(sweep / "sweep.json", {"command": "x", "ablation": None, "rows": [], "not_run": {}})
    victim.mkdir() if link == "row" else victim.write_text("precious")
    typed = ["-m", f"hydra.sweep.dir={sweep}", "model=srcnn", "seed=0,1"]
    assert prepared(typed).folder == sweep
    (sweep / link).symlink_to(victim)
    with pytest.raises(UserError, match="is a link that leads out of it"):
        prepared(typed)


def test_a_folder_that_hides_what_is_in_it_is_refused(tmp_path, monkeypatch):
    def closed(_):
        raise PermissionError(13, "Permission denied", "there")

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UserError, match=r"'there' cannot be looked into \(Permission denied\)"):
        refuse_links(tmp_path)


@pytest.mark.parametrize("name", ["a${oc.env:SECRET}", "a\nssh-ed25519 key"])
def test_a_folder_whose_name_leads_elsewhere_is_refused(command, monkeypatch, tmp_path, name):
    """Hydra looked up what stands behind `${`: a log went into a file of the user's, a key into a folder's name."""
    (tmp_path / name / "run/checkpoints").mkdir(parents=True)
    (tmp_path / name / "run/checkpoints/last.ckpt").touch()
    (tmp_path / name / "run/composed.yaml").write_text("config: {}\n")
    monkeypatch.setenv("SECRET", "s3cret")
    for place in (tmp_path, tmp_path / name):
        monkeypatch.chdir(place)
        typed = [f"resume={tmp_path / name / 'run'}"] if place == tmp_path else ["model=espcn", "budget=smoke"]
        done = command("train.py", *typed, folder="")
        assert done.code == 1 and "holds ${ or a line break" in done.err and "s3cret" not in done.err, done
    with pytest.raises(UserError, match="line break"):
        refuse_links(tmp_path / name / "run")
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_a_linked_folder_within_that_of_wandb_is_refused(begun, tmp_path, monkeypatch):
    """Checkpoints are put into wandb/checkpoints: those of the user's other run were replaced."""
    (tmp_path / "outside/files").mkdir(parents=True)
    (begun / "wandb/run").mkdir(parents=True)
    (begun / "wandb/latest-run").symlink_to(begun / "wandb/run")
    (tmp_path / "outside/a.txt").touch()
    (begun / "wandb/run/a.txt").symlink_to(tmp_path / "outside/a.txt")  # as wandb.save makes them, which it replaces
    refuse_links(begun)
    monkeypatch.setattr(occupied, "began", lambda folder: False)
    with pytest.raises(UserError, match=r"wandb/run/a\.txt' is a link that leads out"):  # it would be sent
        refuse_links(begun)
    monkeypatch.undo()
    (begun / "wandb/checkpoints").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="wandb/checkpoints' is a link that leads out"):
        refuse_links(begun)
