"""Official archives: addresses, sizes in bytes, checksums.

DIV2K (Agustsson and Timofte, CVPRW 2017; NTIRE 2018 tracks): sha256 as TensorFlow Datasets records them.
Flickr2K and the benchmarks as the EDSR authors distribute them: md5 as torchSR records them.
"""

from dataclasses import dataclass

from sr.errors import UserError

DIV2K_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
EDSR_URL = "https://cv.snu.ac.kr/research/EDSR/"


@dataclass(frozen=True)
class Archive:
    """One file to download; `size` is None where it is not published, of a checksum at least the first 8 digits are."""

    url: str
    checksum: str
    algorithm: str = "sha256"
    size: int | None = None

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return self.url + (f" ({self.size / 1e6:,.0f} MB)" if self.size else "")


_DIV2K: dict[str, tuple[int, str]] = {
    "train_HR": (3530603713, "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335"),
    "train_LR_bicubic_X2": (925390592, "a53a424317575838dadce4bcd97cf7b744d6855f43740ed5f0245af3cf4bd850"),
    "train_LR_bicubic_X3": (427847282, "ad5c8e5507e2765823d3c2c5bd0934842efcd487c5370604c224090898b3163a"),
    "train_LR_bicubic_X4": (246914039, "f006b837f4eb52b82909aa01478e6d6d199eefce932179491d0c9dbb706dde3a"),
    "train_LR_unknown_X2": (734182735, "f166eeba119fc55bfc9a99c05561980e7a965382f36640ce8ef626c9f61d122c"),
    "train_LR_unknown_X3": (377245548, "b6455af3b2aa02d76ae3238c49d7aae3b48b0acdc44b5bdc0f4c02d40ebcb43b"),
    "train_LR_unknown_X4": (208956781, "d131c7aad51e0abbdc4433362ce899e5e75f40b9847ead70ee995188e8fd0adb"),
    "train_LR_x8": (65753171, "706fa23164fa0756a3accb78e69b937ea47f882b47e13506895deefd623a35c2"),
    "train_LR_mild": (275693358, "ce5fbe6252d1000c55656b0666dccdeaf8e66b86ae5ff528c49343012e8e1391"),
    "train_LR_difficult": (263211252, "50624a649a0857fdb8e4a948e79c44c37dedbacb5729f9349cc983c47bfdf799"),
    "train_LR_wild": (1079873385, "ce68f7db812d12241212bb9d6b07406472bef3d785c463238888b44189c5ceb3"),
    "valid_HR": (448993893, "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"),
    "valid_LR_bicubic_X2": (117763600, "60eed9875c697df51204aa579e2a699e1d5215095788a097ff54dd17e2664d57"),
    "valid_LR_bicubic_X3": (54513392, "04b9a2ed3b4a0715d3924d3ae8514830c3328fac8d30512ce716d6f419e052a3"),
    "valid_LR_bicubic_X4": (31505881, "a50a5d1c4b88de4e8d300d8fb2b904c52fe93b2b298a4899697760d7cbb6d553"),
    "valid_LR_unknown_X2": (93433041, "ec50bb084c0011130874efd2ed7859b46e0aa7104c565818d5271ac315e04e0a"),
    "valid_LR_unknown_X3": (48143315, "ebf23a3e1ef6800cae97285d3a50d022d89b62655e685884c0abcc89eec5b809"),
    "valid_LR_unknown_X4": (26695095, "e3897555a98de1157c20974fb6093105fbc1ff5e9caf7bd348f58f6da140fbef"),
    "valid_LR_x8": (8428103, "3432f23da7c6887acc5e2cde9669427a7710b3b256c58912dddc19e3eda5bc69"),
    "valid_LR_mild": (35300939, "eedfbcb6acc6662a3f52924aaa5a423693244f3276d37c3fca7944c7325859ff"),
    "valid_LR_difficult": (33596835, "08b4e740496b50846497463121329c707dd8ed26eb8a655d175e9a595286d5e8"),
    "valid_LR_wild": (34655417, "ce921d2048eef3e1fd9ba359d1876b1c93e33bd7a531306f7782672391df9820"),
}

FLICKR2K = Archive(EDSR_URL + "Flickr2K.tar", "5d3f39443d5e9489bff8963f8f26cb03", "md5")
BENCHMARKS = Archive(EDSR_URL + "benchmark.tar", "4ace41d33c2384b97e6b320cd0afd6ba", "md5")


def div2k(name: str) -> Archive:
    """The archive `DIV2K_<name>.zip`, for instance `train_HR` or `valid_LR_unknown_X4`."""
    if name not in _DIV2K:
        raise UserError(f"DIV2K has no archive DIV2K_{name}.zip; there are: {', '.join(_DIV2K)}")
    size, checksum = _DIV2K[name]
    return Archive(f"{DIV2K_URL}DIV2K_{name}.zip", checksum, "sha256", size)
