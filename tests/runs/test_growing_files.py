"""Small files that grow when they are read are refused at once."""

import argparse
import io
import json
import os
import struct
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from at_once import at_once
from small_runs import NODE, write
from torch import nn

from sr.errors import UserError
from sr.layers import torch_file
from sr.runs import checkpoint, composed, safetensors
from sr.runs.construct import construct, limited
from sr.runs.folder import read_run
from sr.runs.same_data import looked_like
from sr.zoo.files import read_tensors

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)
GROWTH = {
    "aliases": LAUGHS,
    "depth": "[" * 3000 + "]" * 3000,
    "size": "x: '" + "y" * 10_000_000 + "'",
    "interpolations": "".join(f"k{n}: [{', '.join(['${k' + str(n + 1) + '}'] * 9)}]\n" for n in range(40))
    + "k40: [1]\n",
    "circle": "a: ${b}\nb: ${a}\n",
    "strings": "".join(f"k{n}: {('${k' + str(n + 1) + '}') * 9}\n" for n in range(40)) + "k40: long\n",
}


@pytest.mark.parametrize("text", GROWTH.values(), ids=GROWTH)
def test_small_files_that_grow_are_refused_at_once(tmp_path, text):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / ".hydra/config.yaml").write_text(text)
    begin = time.process_time()
    for reader in (read_run, composed.read):
        with pytest.raises(UserError):
            reader(tmp_path)
    assert time.process_time() - begin < 2


def test_a_small_checkpoint_builds_no_large_network(tmp_path):
    begin = time.process_time()
    large = {"num_blocks": 10**8}, {"channels": 10**6}, {"channels": 10**12}, {"num_blocks": 10**30}
    for settings in large:
        with pytest.raises(UserError):
            checkpoint.load(write(tmp_path / "a.ckpt", NODE | settings))
    state = {"head.weight": torch.zeros(1).expand(1000, 3, 3, 3)}
    with pytest.raises(UserError, match="far larger"):
        checkpoint.load(write(tmp_path / "a.ckpt", NODE | {"channels": 1000}, state))
    with pytest.raises(UserError, match="far larger"):
        construct(NODE | {"num_blocks": 1000, "channels": 1000}, "a run's config")
    assert time.process_time() - begin < 5


def test_networks_may_be_loaded_in_several_threads(tmp_path):
    """What one is built of counts for none of the others, and what torch reads as safe stays so for all of them."""
    content = {"state_dict": {"w": torch.zeros(1)}, "args": argparse.Namespace(x=1)}
    torch.save(content, tmp_path / "a.pth")
    before, safe = sys.getswitchinterval(), torch.serialization.get_safe_globals()
    sys.setswitchinterval(1e-5)
    try:
        with limited("a.ckpt", {}), ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(torch_file.load, tmp_path / "a.pth") for _ in range(100)]:
                assert done.result()["state_dict"]
            pool.submit(lambda: [nn.Linear(1, 1) for _ in range(200)]).result()
    finally:
        sys.setswitchinterval(before)
    assert len(torch.serialization.get_safe_globals()) == len(safe)


def two_lists(path):
    """A packed container, and after it one of the same parts with few values, whose end points to the first one's."""

    def made(values, method):
        torch.save({"w": torch.zeros(values)}, saved := io.BytesIO())
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(file := io.BytesIO(), "w", method) as new:
            for part in old.infolist():
                new.writestr(zipfile.ZipInfo(part.filename), old.read(part), method)
        return file.getvalue(), new.start_dir

    (large, at), (small, then) = made(4_000_000, zipfile.ZIP_DEFLATED), made(4, zipfile.ZIP_STORED)
    first, second = large[at:-22], small[then:-22]
    assert len(first) == len(second)
    # zipfile takes the last list, and whatever lies before it for a beginning that does not count.
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, len(second), at, 0)
    count = large[-14:-10]
    path.write_bytes(large[:at] + first + small[:then] + second + end[:8] + count + end[12:])


def test_containers_that_grow_are_refused(tmp_path):
    plain = write(tmp_path / "a.ckpt", state={"w": torch.zeros(4_000_000)})
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "b.ckpt", "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    with pytest.raises(UserError, match="packed"):
        checkpoint.read(tmp_path / "b.ckpt")
    two_lists(tmp_path / "d.ckpt")
    assert torch.load(tmp_path / "d.ckpt")["w"].shape == (4_000_000,), "what torch reads of a file of 20 kB"
    with zipfile.ZipFile(tmp_path / "d.ckpt") as container:
        assert {p.compress_type for p in container.infolist()} == {zipfile.ZIP_STORED}, "and what is looked at"
    with pytest.raises(UserError, match="of its two lists of contents torch reads another"):
        checkpoint.read(tmp_path / "d.ckpt")
    nested = [0]
    for _ in range(40):
        nested = [nested, nested]
    with pytest.raises(UserError, match="without end"):
        checkpoint.read(write(tmp_path / "c.ckpt", stage={"x": nested}))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_would_count_for_minutes_is_refused_before(tmp_path, zipped):
    """`Counter(bytearray(10**10))`, which takes 70 bytes of a file."""
    number = (10**10).to_bytes(5, "little")
    content = b"\x80\x02ccollections\nCounter\nc__builtin__\nbytearray\n\x8a\x05" + number + b"\x85R\x85R."
    file = tmp_path / "net.pth"
    file.write_bytes(content)
    if zipped:
        with zipfile.ZipFile(file, "w") as container:
            container.writestr("net/data.pkl", content)
            container.writestr("net/version", "3\n")
    for read in (read_tensors, torch_file.load, checkpoint.read):
        with at_once(), pytest.raises(UserError, match="a bytearray"):
            read(file)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_values_that_double_each_other_are_refused(tmp_path):
    """Of 1.3 kB torch made 2 GB, and of each 40 more twice as much: the codec `hex` writes two letters for one."""
    text = b"X\4\0\0\0AAAAX\6\0\0\0latin1\x86R" + 29 * b"X\x09\0\0\0hex_codec\x86R"
    content = b"\x80\2}X\1\0\0\0w" + 30 * b"c_codecs\nencode\n" + text + b"s."
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as container:
        container.writestr("net/data.pkl", content)
        container.writestr("net/version", "3\n")
    with pytest.raises(UserError, match=r"net\.pth is refused: its 1,\d+ bytes take more memory than they may"):
        torch_file.load(tmp_path / "net.pth")


def test_a_dict_with_methods_of_its_own_hides_nothing(tmp_path):
    """`bounded` asked for its values, and it gave none: what walked through it afterwards never came back."""
    nested = b"]"
    for _ in range(40):  # a list of twice the one before
        nested = b"](" + nested + b"q\1h\1e"
    items = b"(X\1\0\0\0w" + nested + b"u"
    own = b"}(X\6\0\0\0valuescbuiltins\nset\nub"
    content = b"\x80\2ccollections\nOrderedDict\n)R" + items + own + b"."
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as container:
        container.writestr("net/data.pkl", content)
        container.writestr("net/version", "3\n")
    with at_once(), pytest.raises(UserError, match="values within values without end"):
        torch_file.load(tmp_path / "net.pth")


def test_a_tensor_of_which_the_file_holds_no_value_is_refused(tmp_path):
    """Torch made it of what lay in memory: one file had another figure each time, and others' numbers in its copies."""
    content = b"\x80\2}X\1\0\0\0wctorch\nFloatTensor\nK\x09\x85Rs."
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as container:
        container.writestr("net/data.pkl", content)
        container.writestr("net/version", "3\n")
    assert torch.load(tmp_path / "net.pth", weights_only=True)["w"].shape == (9,)
    with pytest.raises(UserError, match="holds a tensor without values, which would be any"):
        torch_file.load(tmp_path / "net.pth")
    kept = {
        "a": torch.rand(4)[1:],
        "b": torch.nn.Parameter(torch.rand(3)),
        "c": torch.zeros(0),
        "d": torch.rand(1).expand(9),
    }
    for zipped in (True, False):
        torch.save(kept, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
        found = torch_file.load(tmp_path / "net.pth")
        assert all(torch.equal(found[name], tensor) for name, tensor in kept.items())


def test_tensors_that_share_bytes_are_refused(tmp_path):
    entry = {"dtype": "F32", "shape": [1_000_000], "data_offsets": [0, 4_000_000]}
    for names in ("a", "ab"):
        table = json.dumps(dict.fromkeys(names, entry)).encode()
        (tmp_path / "a.safetensors").write_bytes(len(table).to_bytes(8, "little") + table + bytes(4_000_000))
        if names == "a":
            assert safetensors.read(tmp_path / "a.safetensors")[0]["a"].shape == (1_000_000,)
        else:
            with pytest.raises(UserError, match="share bytes"):
                safetensors.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("table", "size", "told"),
    [
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, 1 << 26, "are not all that it holds"),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, 6 << 30, "6,442,450,944 bytes"),
        ({"a": {"dtype": "U8", "shape": [1 << 31], "data_offsets": [0, 1 << 31]}}, None, "are not all there"),
        ({"x" * (5 << 20): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, None, "its table has 5,24"),
    ],
    ids=["holes", "large", "cut", "table"],
)
def test_safetensors_are_not_read_further_than_their_tensors(tmp_path, table, size, told):
    table = json.dumps(table).encode()
    (file := tmp_path / "a.safetensors").write_bytes(len(table).to_bytes(8, "little") + table + bytes(4))
    os.truncate(file, size or file.stat().st_size)
    for read in (safetensors.read, checkpoint.read, read_tensors):
        with at_once(0.3), pytest.raises(UserError, match=told):
            read(file)


def test_what_a_folder_shows_of_its_images_is_no_link(tmp_path, caplog):
    """Whoever began from its weights had the file to which it led, as the browser's cookies, in a run of his own."""
    (tmp_path / "cookies").write_bytes(bytes(256))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thumbnails.bin").symlink_to(tmp_path / "cookies")
    assert len(looked_like(tmp_path / "run")) == 0
    assert "thumbnails.bin is refused: it is a link to" in caplog.text
