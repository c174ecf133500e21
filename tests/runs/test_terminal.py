"""Who reads what a command prints may leave before its end."""

import os
import subprocess
import sys


def test_a_command_goes_on_where_nobody_reads_any_more(tmp_path):
    """Behind `| head` a training failed at its next line, and a log's traceback stood for each of a comparison's."""
    code = (
        "import logging, sys; from sr.runs.terminal import unread; unread(sys.stdout, sys.stderr, None);"
        "unread(sys.stdout); logging.basicConfig(stream=sys.stdout)\n"
        "for n in range(3): logging.warning('x' * 100_000); print('bar', file=sys.stderr, flush=True)\n"
        "open('done', 'w').close()"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=write, cwd=tmp_path)
    os.close(write)
    assert done.returncode == 0 and (tmp_path / "done").is_file()
