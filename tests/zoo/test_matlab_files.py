"""What MATLAB files hold, and those that grow, claim more than they hold, or have no end."""

import struct
import tracemalloc
import zlib
from functools import partial

import numpy as np
import pytest
import scipy.io
import torch

from sr.errors import UserError
from sr.zoo import matlab_file
from sr.zoo.files import read_tensors
from sr.zoo.load import load as load_as_users_do

load = partial(load_as_users_do, range_="own")  # the weights of most files here are random


@pytest.mark.parametrize(("order", "mark"), [("little", b"IM"), ("big", b"MI")])
def test_a_matlab_file_that_grows_is_refused_before_it_is_decompressed(tmp_path, monkeypatch, order, mark):
    monkeypatch.setattr(matlab_file, "LARGEST", 4 << 20)
    million = zlib.compressobj()
    begin = million.compress(b"") + million.flush(zlib.Z_FULL_FLUSH)
    zeros = million.compress(bytes(1 << 20)) + million.flush(zlib.Z_FULL_FLUSH)  # a block that may be repeated
    element = begin + zeros * 10
    tag = b"".join(n.to_bytes(4, order) for n in (15, len(element)))
    (tmp_path / "bomb.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(126) + mark + tag + element)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"bomb.mat is refused: it would take more memory"):
        read_tensors(tmp_path / "bomb.mat")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 9e6


def test_a_matlab_file_of_no_known_order_of_bytes_is_refused(tmp_path):
    """It was looked at in one order and read in another: 3 MB took 5 GB."""
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0XX" + matlab_array(6, 1))
    with pytest.raises(UserError, match=r"a.mat cannot be read as a MATLAB file \(no order of bytes is called b'XX'\)"):
        read_tensors(tmp_path / "a.mat")


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab_array(kind: int, rows: int, rest: bytes = b"") -> bytes:
    flags, dims = element(6, struct.pack("<II", kind, 0)), element(5, struct.pack("<ii", rows, 1))
    return element(14, flags + dims + element(1, b"x") + rest)


FIELDS = element(5, struct.pack("<i", 8)) + element(1, b"a".ljust(8, b"\0"))
CLAIMS = {"cell": (1, b""), "struct": (2, FIELDS), "no fields": (2, FIELDS[:16] + element(1, b"")), "text": (4, b"")}


@pytest.mark.parametrize(("kind", "rest"), CLAIMS.values(), ids=CLAIMS)
def test_a_matlab_array_that_claims_more_than_it_holds_is_refused(tmp_path, kind, rest):
    for n in (0, 2):
        content = matlab_array(kind, 10**9, rest)
        for _ in range(n):
            content = matlab_array(1, 1, content)
        for array in (content, element(15, zlib.compress(content))):
            (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + array)
            with pytest.raises(UserError, match=r"a.mat cannot be read.*an array of 1,000,000,000 elements"):
                read_tensors(tmp_path / "a.mat")


def test_matlab_cells_within_cells_without_end_are_refused(tmp_path):
    content = matlab_array(6, 1, element(9, bytes(8)))
    for _ in range(100):
        content = matlab_array(1, 1, content)
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + content)
    with pytest.raises(UserError, match="arrays within arrays without end"):
        read_tensors(tmp_path / "a.mat")


@pytest.mark.parametrize("packed", [False, True])
def test_what_matlab_files_hold(tmp_path, packed):
    a = {"b": np.eye(3), "c": "text", "d": [{"e": np.ones(2)}, []]}
    content = {"a": a, "none": np.array([], object), "cell": np.array([np.ones(2), "é"], object), "empty": {}}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=packed)
    found = read_tensors(tmp_path / "a.mat")
    assert {*found} == {"a.b", "a.d.0.e", "cell.0"} and found["a.b"].equal(torch.eye(3))
