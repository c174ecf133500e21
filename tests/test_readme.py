"""What README and docs tell people to type, and to write into files of their own."""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from sr.cli import TASKS
from sr.compose import schema
from sr.compose.conf import CONF
from sr.compose.keys import WITHIN, root
from sr.models.ecbsr import ECBSR
from sr.runs.checkpoint import describe
from sr.sweeps.command import prepared
from sr.zoo.__main__ import main as zoo

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = sorted((ROOT / "results").glob("*.md"))
SMALL = ["trainer=cpu", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1", "budget=smoke"]
FOR_THE_SHELL = (
    "make ",
    "python3 -m venv",
    "pip ",
    "wandb sync",
    "source ",
    "git ",
    "ls ",
    "torchrun ",
    "results/",
    ".ci/",
)


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its text, the line before it and the heading that it stands under."""

    language: str
    text: str
    before: str
    heading: str


def blocks(page: Path) -> list[Block]:
    found, heading, before = [], "", ""
    for part in re.split(r"(^```.*?^```$)", page.read_text(), flags=re.M | re.S):
        if part.startswith("```"):
            language, _, text = part.strip("`").partition("\n")
            found.append(Block(language, text, before, heading))
        else:
            heading = next((line[3:] for line in reversed(part.splitlines()) if line.startswith("## ")), heading)
            before = next((line for line in reversed(part.splitlines()) if line.strip()), "")
    return found


def lines(block: Block) -> list[str]:
    """Its commands, without comments and with continued lines joined."""
    joined = block.text.replace("\\\n", " ").splitlines()
    return [shlex.join(typed) for line in joined if (typed := shlex.split(line, comments=True))]


def ours(line: str) -> list[str] | None:
    """The words of one of the project's commands, `sr train ...` or `python train.py ...`; None for another program."""
    words = [w for w in shlex.split(line) if w != "PYTHONPATH=."]
    program = words[0].removeprefix(".venv/bin/")
    if program == "sr":
        return words[1:]
    if program == "python" and words[1].endswith(".py"):
        return [words[1].removesuffix(".py"), *words[2:]]
    return None


def typed(*pages: Path) -> list[str]:
    shell = [b for page in pages for b in blocks(page) if b.language == "bash"]
    return list(dict.fromkeys(line for block in shell for line in lines(block)))


COMMANDS = [c for line in typed(*PAGES, *RESULTS) if "--config-dir" not in line and (c := ours(line))]
ADDING = [b for b in blocks(ROOT / "docs/adding.md") if b.heading]
SINGLE = [c for c in COMMANDS if c[0] in TASKS and "-m" not in c and not any(w.startswith("resume=") for w in c)]
SWEEPS = [c for c in COMMANDS if "-m" in c]


def test_the_front_door_is_short_and_every_link_leads_somewhere():
    assert len((ROOT / "README.md").read_bytes()) <= 10_000
    for page in (*PAGES, *RESULTS, ROOT / "CHANGELOG.md"):
        targets = re.findall(r"\]\(([^)#]+?)\)", page.read_text())
        assert not [t for t in targets if "://" not in t and not (page.parent / t).exists()], page


def test_every_file_that_is_named_exists():
    text = "\n".join(page.read_text() for page in (*PAGES, *RESULTS, ROOT / "CHANGELOG.md"))
    named = set(re.findall(r"(?<![\w/.])((?:sr|conf|tests|results|notebooks)/[\w/]+\.(?:py|yaml|csv|md|sh))", text))
    written_by_the_reader = {b.before.strip("`:") for b in ADDING if b.language != "bash"}
    absent = {n for n in named - written_by_the_reader if "NAME" not in n and not (ROOT / n).is_file()}
    assert len(named) > 20 and not absent


def test_every_line_is_a_command_of_ours_or_of_a_program_that_is_known_here():
    others = [line for line in typed(*PAGES, *RESULTS) if ours(line) is None]
    # `python -m pip` and `python -m pytest` are pip and pytest of the environment
    known = ("python -m pip", "python -m pytest", "SR_SHARED=PATH results/", *FOR_THE_SHELL)
    assert not [line for line in others if not line.removeprefix(".venv/bin/").startswith(known)]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {line.split()[1] for line in others if line.startswith("make ")} <= set(targets)
    assert all((ROOT / w).exists() for line in others for w in line.split() if w.startswith(("results/", ".ci/")))
    assert {c[0] for c in COMMANDS} <= {*TASKS, "zoo"} and len(SINGLE) > 50 and len(SWEEPS) > 5


@pytest.mark.parametrize("words", SINGLE, ids=shlex.join)
def test_every_command_composes(command, words, monkeypatch):
    monkeypatch.setenv("SR_SHARED", "shared")
    words = [os.path.expandvars(w) for w in words]
    outcome = command(f"{words[0]}.py", *words[1:], *([] if "--cfg" in words else ["--cfg", "job"]))
    assert outcome.code == 0, outcome


@pytest.mark.parametrize("words", SWEEPS, ids=shlex.join)
def test_every_sweep_composes_in_its_first_and_last_row(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SR_SHARED", "shared")
    schema.register()
    arguments = [w for w in prepared([os.path.expandvars(w) for w in words[1:]]).arguments if not w.startswith("-")]
    rows = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(arguments), max_batch_size=None)[0]
    assert len(rows) > 1
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        for row in (rows[0], rows[-1]):
            assert hydra.compose("train", [w for w in row if not w.startswith("hydra.")]).steps
    GlobalHydra.instance().clear()


def test_every_option_in_the_tables_composes(command):
    pattern = r"^\| (`(?:[\w/]+[=.][^|]*?`(?:, )?)+) \|"
    cells = [cell for page in PAGES for cell in re.findall(pattern, page.read_text(), re.M)]
    words = [shlex.split(option) for cell in cells for option in re.findall("`([^`]+)`", cell)]
    chosen = [w for w in words if re.match(r"[\w/.]+=.", w[0]) and not w[0].startswith("hydra/sweeper")]
    assert len(chosen) > 15
    for options in chosen:
        outcome = command("train.py", *options, "--cfg", "job")
        assert outcome.code == 0, (options, outcome)


def test_a_run_is_gone_on_with_as_the_docs_say(command, tmp_path):
    begun = command("train.py", *SMALL, "model=ecbsr_m4c8", "benchmarks=[]", folder="outputs/ecbsr_m4c8_x4/a")
    assert begun.code == 0, begun
    commands = [c for c in COMMANDS if any(w.startswith("resume=") for w in c)]
    assert len(commands) > 2
    for words in commands:
        there = [f"resume={begun.folder}" if "resume=" in w and w != "resume=last" else w for w in words[1:]]
        outcome = command("train.py", *there, "--cfg", "job")
        assert outcome.code == 0 and str(begun.folder) in outcome.out, outcome


def test_what_a_resume_may_change_is_what_the_page_says():
    table = (ROOT / "docs/training.md").read_text().partition("| may change |")[2].partition("\n\n")[0]
    known = {**root(), **{key.replace("*.", "").rstrip("*").replace("*", ""): known for key, known in WITHIN.items()}}
    free = {key for key, declared in known.items() if not declared.fixed} - {"resume", "hydra"}
    assert set(re.findall(r"`([\w.]+)`", table)) == {
        key for key in free if key.rpartition(".")[0] not in free - {"trainer"}
    }


@pytest.mark.shared
def test_the_zoo_is_listed_and_saved_from(capsys, shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = [c[1:] for c in COMMANDS if c[0] == "zoo"]
    assert {c[0] for c in commands} == {"list", "save"}
    for words in commands:
        zoo([*words, "--dir", str(shared / "weights")])
    assert "rlfn_x4" in capsys.readouterr().out and (tmp_path / "rlfn_x4.ckpt").is_file()


@pytest.mark.parametrize("page", [p for p in PAGES if p.stem in ("README", "api", "use")], ids=lambda p: p.name)
def test_the_python_of_the_pages_runs(page, tmp_path, monkeypatch):
    """In a folder with a run in it."""
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": ECBSR(scale=2).state_dict(),
               "sr": describe({"_target_": "sr.models.ecbsr.ECBSR", "scale": 2}, "ecbsr", {})}  # fmt: skip
    Path("outputs/ecbsr_m4c16_x2/2026-01-31_12-00-00/checkpoints").mkdir(parents=True)
    torch.save(content, "outputs/ecbsr_m4c16_x2/2026-01-31_12-00-00/checkpoints/last.ckpt")
    shown = [b.text for b in blocks(page) if b.language == "python"]
    assert shown
    for text in shown:
        names: dict = {}
        exec(compile(text, page.name, "exec"), names)
        assert names["enlarged"].shape in ((1, 3, 48, 64), (1, 3, 96, 128), (96, 128, 3))


SHOWS = {  # what the commands of a section of docs/adding.md must leave or print, to have done what they are there for
    "An architecture": ["tiny x4: 7,408 parameters; recipe base", "| tiny | x4 | 7,408", "recipe tiny"],
    "A loss": ["train/edges"],
    "An optimizer, a schedule": ["torch.optim.AdamW", "torch.optim.lr_scheduler.PolynomialLR"],
    "A degradation": ["dead_pixels.DeadPixels", "Bundled"],
    "A benchmark": ["SunHays80"],
    "A metric": ["RMSE in grey levels", "val/rmse_y"],
    "An ablation": ["ECBSR by its width", "32 channels"],
    "A callback": ["train/gradient_norm"],
    "A figure": ["model,parameters\necbsr_m4c8,"],
}


def test_every_section_has_an_example():
    assert {b.heading for b in ADDING} == set(SHOWS)


@pytest.mark.parametrize("section", SHOWS)
def test_the_examples_of_adding_are_carried_out(section, command, photos, tmp_path, monkeypatch):
    """Word for word, in an empty folder outside the project: files are written and commands typed in order."""
    photos(tmp_path / "data" / "SunHays80", 1)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    begun = [command("train.py", *SMALL, "model=ecbsr_m4c8", "benchmarks=[]")] if section == "A figure" else []
    seen, count = "", 0
    for block in (b for b in ADDING if b.heading == section):
        if block.language != "bash":
            file = tmp_path / re.fullmatch(r"`([\w/]+\.(?:py|yaml))`:", block.before)[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            continue
        for line in lines(block):
            name, *words = ours(line) or ()
            count += 1
            if name == "train":
                words += [w for w in SMALL if w not in words]
                words += [] if {"A metric", "A benchmark"} & {section} else ["benchmarks=[]"]
            words = [w.replace("RUN", str(begun[0].folder)) if begun else w for w in words]
            outcome = command(f"{name}.py", *words, folder=f"run{count}")
            assert outcome.code == 0, outcome
            files = [p for p in outcome.folder.rglob("*") if p.name in ("metrics.csv", "composed.yaml", "sizes.csv")]
            seen += outcome.out + outcome.err + "".join(p.read_text() for p in files)
    assert count and not [text for text in SHOWS[section] if text not in seen], seen
