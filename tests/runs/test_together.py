"""What is said of stored figures, wherever they are shown."""

import shutil

import pytest

from sr.measuring import reproduced
from sr.runs.folder import read_run
from sr.runs.record import record
from sr.runs.together import doubts, once


@pytest.fixture
def runs(begun, tmp_path):
    """Two finished runs, and a copy of the first."""
    record(begun, "finished", steps=20)
    (begun / "results.csv").write_text("model,dataset,scale,protocol,psnr,images\nm,set,2,y,30.0,1\n")
    for name in ("other", "copy"):
        shutil.copytree(begun, tmp_path / name)
    config = tmp_path / "other/.hydra/config.yaml"
    config.write_text(config.read_text().replace("\nbatch_size: ", "\nbatch_size: 3"))
    return [begun, tmp_path / "other", tmp_path / "copy"]


def test_images_that_a_run_had_seen_are_told(runs):
    """Its first weights were trained on what is measured: it stood as the best of a table."""
    assert not doubts(map(read_run, runs))
    for folder in runs[:2]:
        record(folder, "finished", saw=["was trained on 4 of the 4 images of V: its figures on them flatter it"])
    (told,) = doubts(map(read_run, runs))
    assert told.startswith(f"warning: {runs[0].name}, other: was trained on 4 of the 4 images of V")
    record(runs[0], "interrupted", saw=["a\nnote: all figures were measured anew"])  # whatever a stranger writes there
    assert [f"warning: {runs[0].name}: a note: all figures were measured anew"] == doubts([read_run(runs[0])])
    (runs[0] / "composed.yaml").write_text("config: {}\n")
    assert doubts([read_run(runs[0])])[0].startswith(f"warning: nothing shows that you began {runs[0].name}")


def test_a_strangers_figures_are_told_where_they_are_measured_beside_and_drawn(command, runs, caplog):
    reproduced.read(str(runs[1]))
    assert "nothing shows" not in caplog.text
    (runs[1] / "composed.yaml").write_text("config: {}\n")
    reproduced.read(str(runs[1]))
    assert "nothing shows that you began other" in caplog.text
    for folder in runs:
        (folder / "metrics.csv").write_text("step,val/psnr_y\n10,25.0\n20,26.0\n")
    done = command("figure.py", "figure=convergence", f"runs=[{','.join(map(str, runs))}]")
    assert done.code == 0 and "nothing shows that you began other" in done.out + done.err, done
    assert "copy is the same training as mine" in done.out + done.err, done
    record(runs[2], "finished", digests={"lab.Net": "code 1"})  # changed between the two
    assert once([read_run(folder) for folder in runs])[1] == []
