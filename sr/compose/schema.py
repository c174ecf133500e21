"""The typed root of every composed config, with every key declared."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from sr.compose.common_schema import Common, Zoo
from sr.compose.key import key
from sr.compose.rules import paper_data, recipe_taken, scale_name, share


@dataclass
class Budget:
    """How much of a recipe is run; see conf/budget."""

    name: str = "paper"
    seconds: float | None = None  # wall-clock time that training should take
    steps: int | None = None  # optimizer steps in all
    max_batch: int | None = None
    max_patch: int | None = None  # LR pixels
    smallest_patch: bool = False
    # what a run from scratch of one stage takes in place of its recipe's, where `taken`
    short: Any = None
    validations: int | None = None  # at most, in the whole run
    test_images: int | None = None  # of each test set that are measured at the end, the first ones
    test_middle: int | None = None  # HR pixels a side, at most, of what is measured of each of them
    factor: float | None = None  # of every step count; set when the budget is known


@dataclass
class TrainSchema(Common):
    """Every plain key of conf/train.yaml, declared. A recipe overrides the defaults."""

    # or a list, for one network that is trained on several
    scale: Any = key(4, sets=True, stage=True, whole_run=True, one_line=True, own_column=True)
    steps: int = key(300_000, least=1, unit="optimizer steps", stage=True, resume=True, budget="steps", timing=False)
    # where set, the LR patch is this over the scale
    hr_patch_size: int | None = key(least=1, unit="HR pixels", stage=True, budget="size")
    accumulate: int = key(1, least=1, unit="micro-batches per optimizer step")  # batch_size is divided by it
    # at most, between two of Lightning's; null: as many as half a second holds, for the same weights with less waiting
    steps_at_once: int | None = key(least=1, unit="optimizer steps", result=False, named=False)
    val_every_steps: int = key(5_000, least=1, unit="optimizer steps", resume=True, budget="steps")
    # also save last.ckpt every so many steps
    save_every_steps: int | None = key(least=1, unit="optimizer steps", result=False, named=False, budget="steps")
    save_every_minutes: float = key(5.0, least=0, unit="minutes", result=False, named=False)
    loss: Any = key(stage=True)
    optimizer: Any = key(stage=True)
    scheduler: Any = key(stage=True, timing=False)
    # what data=paper stands for: the `data` of a recipe's paper, and the `recipe` that then takes its place
    paper: dict[str, Any] = key(dict, result=False, resume=False, timing=False)
    parameter_groups: dict[str, Any] = key(dict, stage=True)  # pattern -> lr_factor, optimizer options
    frozen: list[str] = key(list, stage=True)  # patterns of parameters that do not learn
    trained: list[str] | None = key(stage=True)  # patterns of those that alone learn; null: all
    losses: dict[str, Any] = key(dict, timing=False)  # losses by name, for stages to choose from
    stages: dict[str, Any] = key(dict, timing=False)  # name -> what changes in it; in order
    optimizer_state: str = key("fresh", stage=True, whole_run=True, timing=False)  # of a stage: fresh, or kept
    # torchvision's vgg19-dcbb9e9d.pth; null: looked for where torchvision keeps it
    vgg_weights: str | None = key(result=False, passed_on=True)
    # of loss=distillation: a run, a checkpoint, an author's file, a name of the zoo; null: what travels with us
    teacher: str | None = key()
    protocol: str = key("y")  # of validation; see sr/metrics/protocols.py
    callbacks: Any = key(dict)
    trainer: Any = key(resume=True)  # the group; its keys are declared each for itself
    logger: Any = key(dict, result=False, named=False)
    budget: Budget = key(Budget)
    # a checkpoint, a run folder, an author's file or a name of the zoo, whose weights training starts from
    init_from: str | None = key(stage=True, whole_run=True, timing=False)
    zoo: Zoo = key(Zoo, result=False, named=False)
    resume: str | None = key(result=False)  # 'last' or a run folder
    # measured at the end; null: the data's own and those found in data_dir
    benchmarks: list[str] | None = key(resume=True)
    self_ensemble: bool = key(False, resume=True)  # at the end the result is also measured under x8 self-ensemble
    # of it: names, or {channel: rgb, shave: 4}; null: those under which the papers measure the model
    protocols: list[Any] | None = key(resume=True)
    # of validation and at the end: names, files; best.ckpt is chosen by the first one
    metrics: list[str] = key(lambda: ["psnr", "ssim"], resume=True, timing=False)
    # filled in: the names chosen from each group
    choices: dict[str, Any] = key(dict, result=False, resume=False, timing=False)


@dataclass
class EvaluateSchema(Common):
    """Every plain key of conf/evaluate.yaml."""

    checkpoint: Any = None  # a path, or a list of paths
    weights: Any = None  # authors' files: a name of the zoo or a path, or a list of both
    pictures: Any = None  # folders of outputs that were made elsewhere, each named as its HR: a path, or a list
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    scale: int | None = key(least=1)  # null: every one that the models serve; for model=bicubic 4
    data: dict[str, Any] = field(default_factory=dict)  # settings of the sets' own, for those that have them
    benchmarks: list[str] = field(default_factory=lambda: ["bundled"])  # names of conf/data
    # names, or {channel: rgb, shave: 4}; null: those under which the papers measure the model
    protocols: list[Any] | None = None
    metrics: list[str] = field(default_factory=lambda: ["psnr", "ssim"])  # names, and files with one of your own
    self_ensemble: bool = False
    statistics: Any = "population"  # of batch norm: population (running), image (each image's own), or a list of both
    panels: int = key(4, least=0)  # images per set that are drawn
    panel_size: int = key(96, least=1, result=False, beside=("panels",))  # HR pixels of a crop
    # where the crops lie: most detail in HR, or the models' greatest 'disagreement'
    panel_at: str = key("detail", result=False, beside=("panels",))
    device: str = "auto"
    # in which networks run: merged, channels_last, compiled, onnx; auto: the fastest that is exact and at hand
    form: str = "auto"
    baseline: bool = True  # a bicubic row above the models


@dataclass
class MeasureSchema:
    """Every plain key of conf/measure.yaml."""

    scale: int = key(4, least=1)
    model: Any = None
    rounds: int = key(7, least=0)  # timed passes of each model; 0: no latency
    # LR pixels of the timed image: height, width
    size: list[int] = key(lambda: [96, 96], least=1, beside=("rounds", "forms"))
    reference: str = key("rlfn", beside=("rounds",))  # the model whose time the others' are compared with
    receptive_field: bool = True
    device: str = "cpu"  # of the latency
    # in which each network is timed, weighed and scored beside the table: all, or eager, merged, channels_last,
    # compiled, bf16, onnx, onnx_1_thread
    forms: Any = None
    timing: str = key("rounds", beside=("rounds",))  # or ntire22: each LR of benchmarks once, the mean
    challenge: str | None = None  # ntire26, ntire25 or ntire24: also ranked by its score, beside its baseline
    checkpoint: Any = None  # trained networks beside those of model=: run folders or checkpoints
    weights: Any = None  # and authors' files: names of the zoo, or paths
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    # for the forms' figures; null: Set5 where it is found in data_dir
    benchmarks: list[str] | None = key(beside=("forms", "timing=ntire22"))
    data_dir: str = "data"
    results: Any = None  # results.csv files or run folders of evaluate.py, for the reproduced figures
    trust: Any = None  # modules of others whose classes files may name: a list, or one


@dataclass
class UpscaleSchema:
    """Every plain key of conf/upscale.yaml."""

    input: Any = None  # files, folders and patterns, of pictures and films: one, or a list
    # the network, also typed as model=: a run folder, a checkpoint, a name of the zoo, an author's file, or bicubic;
    # null: one that travels with the project, of the scale, or the least that reaches outscale, else x4
    weights: Any = None
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    scale: int | None = key(least=1)  # needed where the network serves several
    outscale: float | None = key(least=1)  # another factor, up to the network's, to which its result is reduced
    output: str = "outputs/upscaled"  # the folder of the results
    format: str | None = None  # png, jpg, webp, tif or bmp, of films mp4, mkv or mov; null: each as its own file
    quality: int | None = key(least=1, most=100)  # of jpg (95), webp (lossless) and films (80)
    lossless: bool = False  # films keep every pixel, in Matroska
    clip_room: float | None = key(least=0, unit="GiB")  # of disk for what BasicVSR keeps of a film; null: half
    suffix: str | None = key("_x{scale}", beside=("submission=false",))  # behind each name
    overwrite: bool = False  # what is there already and was not made by the same command
    self_ensemble: bool = False
    tile: int | None = key(least=16, unit="LR pixels")  # side of the tiles; null: the whole picture where it fits
    scratch: str | None = None  # a folder on a disk for what does not fit in memory
    half: bool = False  # features of the whole picture are kept in float16, where it is made in tiles
    side_by_side: bool = False  # also each result to the right of bicubic's, in <output>/side_by_side
    hr: str | None = None  # a folder of HR: figures are printed
    protocols: list[Any] | None = key(beside=("hr",))  # of these; null: the network's
    metrics: list[str] = key(lambda: ["psnr", "ssim"], beside=("hr",))
    submission: bool = False  # a challenge's entry: PNG under the names of LR, and readme.txt
    trust: Any = None  # modules of others whose classes files may name: a list, or one
    device: str = "auto"
    form: str = "auto"  # see EvaluateSchema


@dataclass
class ExportSchema:
    """Every plain key of conf/export.yaml."""

    # the network, also typed as model=: a run folder, a checkpoint, a name of the zoo, or an author's file
    weights: Any = None
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    scale: int | None = key(least=1)  # needed where the network serves several
    formats: Any = "onnx"  # onnx, pt2, safetensors, spandrel, hub: one, or a list
    output: str = "outputs/exported"  # the folder of the files
    half: bool = False  # compute in float16
    opset: int = key(18, least=18, most=23, beside=("formats=onnx",))  # version of ONNX's operators
    overwrite: bool = False  # what is there already
    trust: Any = None  # modules of others whose classes files may name: a list, or one


@dataclass
class FigureSchema:
    """Every plain key of conf/figure.yaml."""

    figure: Any = None
    checkpoint: Any = None  # run folders or checkpoints: a path, or a list
    weights: Any = None  # authors' files: a name of the zoo or a path, or a list of both
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    runs: Any = None  # folders that hold runs: a path, or a list
    images: Any = None  # files and folders of HR images; null: the bundled photos that are held out
    scale: int | None = key(least=1, passed_on=True)  # needed where the models serve several
    # torchvision's vgg19-dcbb9e9d.pth; null: looked for where torchvision keeps it
    vgg_weights: str | None = key(result=False, passed_on=True)
    trust: Any = None  # modules of others whose classes files may name: a list, or one
    device: str = key("auto", result=False, beside=("weights", "checkpoint"))
    format: str = "png"  # or pdf, svg


@dataclass
class CompareSchema(Common):
    """Every plain key of conf/compare.yaml."""

    runs: Any = None  # run folders, sweeps, or folders that hold them: a path or a list of paths
    checkpoint: Any = None  # a path, or a list of paths
    weights: Any = None  # authors' files: a name of the zoo or a path, or a list of both
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    scale: int | None = key(least=1)  # null: all
    data: dict[str, Any] = field(default_factory=dict)  # settings of the sets' own, for those that have them
    benchmarks: list[str] = field(default_factory=list)  # names of conf/data; none: nothing is measured
    # names, or {channel: rgb, shave: 4}; null: those under which the papers measure the model
    protocols: list[Any] | None = key(beside=("benchmarks",))
    metrics: list[str] = field(default_factory=lambda: ["psnr", "ssim"])  # names, and files with one of your own
    sort: Any = None  # a column or a list of columns, the best first; -name turns the order
    filter: Any = None  # a condition such as 'scale=4', or a list of conditions that must all hold
    out: str = "outputs/compare/${now:%Y-%m-%d_%H-%M-%S}"  # the folder that is written
    crops: int = key(2, least=0)  # images per set and scale in the page's viewer; 0: none
    crop_size: int = key(128, least=1, result=False, beside=("crops",))  # HR pixels
    wandb: str | None = None  # <entity>/<project>: also a W&B workspace and report of the same table
    lpips: str | None = None  # torchvision's AlexNet file; null: used where torchvision keeps it
    study: Any = None  # what people said: folders that sr study answers=[...] wrote, or files of theirs
    device: str = "auto"


@dataclass
class StudySchema(Common):
    """Every plain key of conf/study.yaml."""

    seed: int = key(0, least=0, most=2**32 - 1)  # of the order of what is shown
    runs: Any = None  # whose pictures are shown: run folders, sweeps, or folders that hold them
    checkpoint: Any = None  # a path, or a list of paths
    weights: Any = None  # authors' files: a name of the zoo or a path, or a list of both
    zoo: Zoo = key(Zoo, result=False, beside=("weights",))
    baseline: bool = False  # bicubic too
    scale: int | None = key(least=1)  # needed where the models have several
    data: dict[str, Any] = field(default_factory=dict)  # settings of the sets' own, for those that have them
    benchmarks: list[str] = field(default_factory=lambda: ["bundled"])  # names of conf/data
    mode: str = "pairs"  # which of two looks better; or mos, 1 to 5 for one
    images: int = key(10, least=1)  # of each set, the first ones
    crops: int = key(2, least=1)  # of each image, where it has most detail
    crop_size: int = key(128, least=16, most=1024, unit="HR pixels")
    pairs: int = key(30, least=1, most=1000, beside=("mode=pairs",))  # in which a rater sees each model
    equal: bool = key(True, beside=("mode=pairs",))  # whether "equal" is an answer
    catch: int = key(6, least=0, most=100)  # trials, or crops of mode=mos, that show HR beside HR spoiled
    answers: Any = None  # instead of models: the files that raters sent, or folders of them
    key: str | None = None  # of the study: key.json; null: looked for beside the answers and in outputs/studies
    out: str = "outputs/studies/${now:%Y-%m-%d_%H-%M-%S}"  # the folder that is written
    device: str = "auto"


SCHEMAS = {
    "train": TrainSchema,
    "evaluate": EvaluateSchema,
    "measure": MeasureSchema,
    "upscale": UpscaleSchema,
    "export": ExportSchema,
    "figure": FigureSchema,
    "compare": CompareSchema,
    "study": StudySchema,
}


def register() -> None:
    """Make the schemas and the rules known to Hydra; harmless when repeated."""
    # Hydra copies its sources, and this store of schemas with them, at every look at a group: 132 times for --help,
    # three quarters of its time. What it looks at is never changed, so one store serves all.
    ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{command}_schema", node=schema)
    OmegaConf.register_new_resolver("recipe_of", recipe_taken, replace=True)
    OmegaConf.register_new_resolver("paper_data", paper_data, replace=True)
    OmegaConf.register_new_resolver("scale_name", scale_name, replace=True)
    OmegaConf.register_new_resolver("share", share, replace=True)
