"""Whose compiled code is run."""

import tempfile

import pytest
import torch
from owners import SOMEBODY, US, owned

from sr.compiled import compiled
from sr.errors import UserError


@pytest.mark.parametrize("odd", ["", "another's", "link", "open to all"])
def test_code_that_another_user_can_have_put_there_is_not_run(odd, tmp_path, monkeypatch):
    """Torch takes any of a folder of a known name among the temporary files: whoever was there first chose the code."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("LOGNAME", "me")
    owned(monkeypatch, lambda path: SOMEBODY if odd == "another's" else US)
    known = tmp_path / "torchinductor_me"
    if odd == "link":
        known.symlink_to(tmp_path)
    elif odd:
        known.mkdir()
        known.chmod(0o777 if odd == "open to all" else 0o755)
    if odd:
        with pytest.raises(UserError, match=r"torchinductor_me, and others can write there\. Put TMPDIR="):
            compiled(torch.nn.Identity())
    else:
        for _ in range(2):
            assert compiled(torch.nn.Identity())(torch.zeros(1)) == 0
        assert known.stat().st_mode & 0o777 == 0o700
