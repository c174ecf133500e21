import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sr.data import download
from sr.data.archives import _DIV2K, Archive, div2k
from sr.data.download import fetch, unpack
from sr.errors import UserError

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `cut` drops the connection after so many bytes, `ranges` says whether it honours Range."""

    cut: int | None = None
    ranges = True
    status = 200
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + (self.server.cut or len(CONTENT))])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def archive(server: Server, **changes: Any) -> Archive:
    url = f"http://127.0.0.1:{server.server_address[1]}/data.zip"
    given = {"url": url, "checksum": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
    return Archive(**{**given, **changes})


def test_fetch_checks_and_keeps(server: Server, tmp_path: Path) -> None:
    md5 = archive(server, algorithm="md5", checksum=hashlib.md5(CONTENT).hexdigest(), size=None)
    assert fetch(archive(server), tmp_path / "new").read_bytes() == CONTENT
    assert fetch(md5, tmp_path / "md5").read_bytes() == CONTENT
    fetch(archive(server), tmp_path / "new")
    assert server.asked == [None, None]  # the third time nothing was asked for


def test_a_dropped_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cut = 400_000
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-", "bytes=800000-"]


def test_what_came_is_kept_for_the_next_command(server: Server, tmp_path: Path) -> None:
    server.cut = 100_000
    with pytest.raises(UserError, match=r"interrupted after 300,000 bytes .* Type the same command again"):
        fetch(archive(server), tmp_path)
    server.cut = None
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-" and not (tmp_path / "data.zip.part").exists()


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "data.zip.part").write_bytes(b"x" * 1000)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_a_complete_part_is_taken(server: Server, tmp_path: Path) -> None:
    for size in (len(CONTENT), None):
        (tmp_path / "data.zip.part").write_bytes(CONTENT)
        assert fetch(archive(server, size=size), tmp_path).read_bytes() == CONTENT
        (tmp_path / "data.zip").unlink()
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected 0000"):
        fetch(archive(server, checksum="0000"), tmp_path)
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
    (tmp_path / "data.zip").write_bytes(b"the user's own file")
    with pytest.raises(UserError, match="Remove it"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "data.zip").read_bytes() == b"the user's own file"


def test_server_errors_and_no_network(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(UserError, match="answers 404"):
        fetch(archive(server), tmp_path)
    with pytest.raises(UserError, match="is there a network"):
        fetch(Archive("http://127.0.0.1:9/data.zip", "0"), tmp_path)


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_unpacking_joins_what_is_there(tmp_path: Path, pack: Callable[..., Path]) -> None:
    root = tmp_path / "root"
    (root / "LR").mkdir(parents=True)
    (root / "LR" / "mine.txt").write_text("kept")
    unpack(pack(tmp_path / "a", {"LR/X2/1.png": b"1", "LR/mine.txt": b"theirs", "HR/1.png": b"2"}), root)
    assert (root / "LR/X2/1.png").read_bytes() == b"1" and (root / "HR/1.png").read_bytes() == b"2"
    assert (root / "LR/mine.txt").read_text() == "kept"
    assert sorted(p.name for p in root.iterdir()) == ["HR", "LR"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil.png", "/evil.png"])
def test_names_that_lead_outside_stay_inside_or_are_refused(
    tmp_path: Path, pack: Callable[..., Path], name: str
) -> None:
    path = pack(tmp_path / "a", {"HR/1.png": b"1", name: b"2"})
    if not (pack is tarred and name.startswith("/")):  # tar's filter strips the leading slash
        with pytest.raises(UserError):
            unpack(path, tmp_path / "root")
        assert list((tmp_path / "root").iterdir()) == []
    assert not (tmp_path / "evil.png").exists() and not Path("/evil.png").exists()


def test_a_tar_s_links_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        link = tarfile.TarInfo("HR")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        file.addfile(link)
        through = tarfile.TarInfo("HR/1.png")
        through.size = 1
        file.addfile(through, io.BytesIO(b"1"))
    (tmp_path / "elsewhere").mkdir()
    unpack(tmp_path / "a.tar", tmp_path / "root")
    assert (tmp_path / "root/HR/1.png").read_bytes() == b"1" and not any((tmp_path / "elsewhere").iterdir())


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "root")
    assert download.ATTEMPTS > 1


def test_a_zip_that_would_fill_the_disk_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "a.zip", {"HR/1.png": bytes(10**6)})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**5))
    with pytest.raises(UserError, match="room for"):
        unpack(path, tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_every_archive_has_a_full_checksum() -> None:
    assert len(_DIV2K) == 22
    for name in _DIV2K:
        found = div2k(name)
        assert len(bytes.fromhex(found.checksum)) == 32 and found.size and found.url.endswith(f"DIV2K_{name}.zip")
    with pytest.raises(UserError, match="train_LR_bicubic_X2"):
        div2k("train_LR_bicubic_X5")


def test_a_link_in_a_shared_folder_is_not_written_through(server: Server, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f"{archive(server).file}.part").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="cannot write"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"
