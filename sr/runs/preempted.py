"""A job that Slurm takes away from a run: asked by a signal, the run saves, ends, and is put into the queue again.

USR1 is what `sbatch --signal=USR1@300` sends before the time is up, and a preempting Slurm with send_user_signal. It is
taken as SIGTERM is, so that a run stops between two steps, all of its processes at the same one.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

JOB = "SLURM_JOB_ID"
SWEEP = "SR_SWEEP"  # in the environment of a row that runs as a command of its own: the sweep's folder
_asked: set[int] = set()  # signals that this process was told to end by and to be begun again


def take_requests() -> None:
    """From here on USR1 ends this process as a job that Slurm shall begin again. Called within a job alone."""
    usr1 = getattr(signal, "SIGUSR1", None)
    if usr1 is None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(usr1) is signal.SIG_DFL:
        signal.signal(usr1, _ends_in_order(os.getpid(), signal.getsignal(signal.SIGTERM)))
        atexit.register(_put_back, os.getpid())  # before what is imported later registers itself, so after it


@contextmanager
def requests_passed_on() -> Iterator[None]:
    """Let who has started this process put the job back, as submitit does on USR2, but only when the run has ended."""
    numbers = [getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
    former = {n: signal.getsignal(n) for n in numbers}
    theirs = {n: handler for n, handler in former.items() if callable(handler) and not hasattr(handler, "of_sr")}
    if JOB not in os.environ or not theirs or threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in theirs:
        signal.signal(number, _ends_in_order(os.getpid(), signal.getsignal(signal.SIGTERM)))
    try:
        yield
    finally:
        for number, handler in theirs.items():
            signal.signal(number, handler)
        for number in _asked & theirs.keys():
            _asked.remove(number)
            handler = theirs[number]
            assert callable(handler)
            handler(number, None)


def _ends_in_order(process: int, idle: Any) -> Any:
    """A handler for one process: its loader's workers inherit it, and are not who is asked.

    Args:
        process: its number.
        idle: the handler of SIGTERM while nothing trains.
    """

    def end(number: int, _: Any) -> None:
        if os.getpid() != process:
            return
        _asked.add(number)
        if signal.getsignal(signal.SIGTERM) is idle:
            raise SystemExit(128 + signal.SIGTERM)
        os.kill(process, signal.SIGTERM)  # who trains, or waits for a row's own process, knows how to end

    end.of_sr = True  # type: ignore[attr-defined]
    return end


def _put_back(process: int) -> None:
    """Have Slurm begin the job again, if that was asked for: by the first process of its run."""
    from sr.runs.lock import first_process  # which needs Hydra, and this module comes before all others

    if not _asked or os.getpid() != process or not first_process() or SWEEP in os.environ:
        return
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array and task else os.environ[JOB]
    print(f"job {job} goes back into Slurm's queue and goes on from here", flush=True)
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
        failed = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        failed = str(error)
    if failed:
        print(f"error: scontrol requeue {job}: {failed}. Submit it again to go on", file=sys.stderr)
