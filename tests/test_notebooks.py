"""The notebooks: kept without output, and run from beginning to end on tiny cases."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sr.errors import UserError
from sr.figures.notebook import run as run_command

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(p.stem for p in FOLDER.glob("*.ipynb"))


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_kept_without_output_and_has_parameters(name):
    book = read(name)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert [cell for cell in code if "parameters" in cell.metadata.get("tags", [])] == code[:1]
    assert book.cells[0].cell_type == "markdown" and book.cells[0].source.startswith("# ")
    assert set(book.metadata) == {"kernelspec", "language_info"} and book.metadata.kernelspec.name == "python3"
    assert nbformat.validate(book) is None


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """execute(name, KEY=value, ...) -> all that the notebook printed, and what stands below its pictures.

    Its parameters are replaced by the given ones.
    """
    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for key in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(key, str(tmp_path / key.lower()))

    def call(name: str, **parameters: object) -> str:
        book = read(name)
        place = next(i for i, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", []))
        known = {
            line.split("=")[0].strip() for line in book.cells[place].source.splitlines() if not line.startswith("#")
        }
        assert set(parameters) <= known
        given = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
        book.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
        client = nbclient.NotebookClient(
            book, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
        outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
        pictures = [o for o in outputs if "image/png" in o.get("data", {})]
        assert pictures, "no figure was shown"
        notes = [o.data.get("text/html", "").partition("<ul>")[2] for o in pictures]
        return "".join([*(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout"), *notes])

    return call


@pytest.fixture
def trained(command, div2k) -> Callable[..., str]:
    """trained("a", "model=srcnn", ...) -> the folder of a run of four steps."""

    def train(name: str, *typed: str) -> str:
        outcome = command(
            "train.py", *typed, "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[]", folder=name
        )
        assert outcome.code == 0, outcome
        return str(outcome.folder)

    return train


@pytest.mark.slow  # trains and measures by commands of its own
def test_start_here(execute, div2k, tmp_path):
    tiny = ["model=ecbsr_m4c8", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[]"]
    measuring = ["data=[div2k]", f"data.root={div2k}", "panels=0"]
    outputs = str(tmp_path / "Übung a=b, o'brien")
    printed = execute("00_start_here", TRAINING=tiny, MEASURING=measuring, OUTPUTS=outputs)
    assert "bicubic" in printed and "ecbsr_m4c8" in printed and "DIV2K x2 y " in printed


def test_feature_differences(execute, tmp_path, photos):
    printed = execute("01_rlfn_feature_differences", IMAGES=[str(p) for p in photos(tmp_path / "i", 1)])
    assert (
        "VGG-19&#x27;s layers are left out" in printed and "random conv2" in printed and "sigma 3.2, seed 1" in printed
    )


@pytest.mark.slow
def test_batch_norm(execute, trained, tmp_path, photos):
    images = [str(p) for p in photos(tmp_path / "i", 2)]
    longer = ["scale=2", "budget.steps=6", "budget.validations=6"]  # a jitter takes three of the later half
    runs = [trained("a", "model=repsr_m4c16", *longer), trained("b", "model=plain", *longer)]
    assert "image's own  patch at home" in execute("02_repsr_batch_norm", RUNS=runs, IMAGES=images, SIZE=32)


@pytest.mark.slow
def test_kernels_and_cost(execute, trained):
    execute("03_bsrn_kernels_and_cost", CHECKPOINTS=[trained("a", "model=ecbsr_m4c8", "scale=2")])


def test_residual_scaling(execute):
    printed = execute("04_edsr_residual_scaling", CHANNELS=[8], NUM_BLOCKS=4, STEPS=1)
    assert "8 channels, res_scale 0.1" in printed and "L1 in 0-255" in printed and "CHECKPOINTS" in printed


@pytest.mark.slow
def test_filters_and_convergence(execute, trained):
    shown = ["model=srcnn", "scale=3"]
    execute("05_srcnn_filters_and_convergence", RUNS=[trained("a", *shown, "recipe=srcnn_sgd"), trained("b", *shown)])


@pytest.mark.slow  # trains two networks by commands of its own
def test_video(execute, tmp_path):
    tiny = ["budget=smoke", "model.num_blocks=1", "model.channels=8", "patch_size=16", "batch_size=1"]
    rows = {"EDVR": ["both"], "BASICVSR": ["both"], "SIZE": 96}
    printed = execute("06_video", TRAINING=tiny, OUTPUTS=str(tmp_path / "Übung a=b, o'brien"), **rows)
    assert printed.count("bicubic") == 2 and "basicvsr" in printed and "edvr_m" in printed


def test_every_notebook_is_run_here():
    source = Path(__file__).read_text()
    assert len(NOTEBOOKS) == 7 and all(f'"{name}"' in source for name in NOTEBOOKS)


def test_a_command_that_fails_tells_its_end(tmp_path):
    with pytest.raises(UserError, match=r"(?s)sr figure figure=nothing ended with status 1.*there is no such figure"):
        run_command("figure", "figure=nothing", outputs=tmp_path)


def test_a_folder_may_have_any_name(tmp_path):
    with pytest.raises(UserError, match="there is no such figure"):  # so the folder was understood
        run_command("figure", "figure=nothing", outputs=tmp_path / "Übung a=b, o'brien")
