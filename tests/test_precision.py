"""Full float32, whoever wants it at the same time."""

from threading import Barrier, Thread

import torch

from sr.precision import full_precision


def settings():
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark


def test_threads_are_in_it_side_by_side(monkeypatch):
    """Who leaves takes it from nobody, and the last one leaves what was there before."""
    before = settings()
    torch.set_float32_matmul_precision("high")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    former, seen, step = settings(), [], Barrier(2, timeout=10)

    def other():
        step.wait()
        with full_precision(torch.device("cpu")):
            step.wait()
            step.wait()
            seen.append(settings())

    thread = Thread(target=other)
    thread.start()
    try:
        with full_precision(torch.device("cpu")):
            step.wait()
            step.wait()
        step.wait()
        thread.join()
        assert seen == [("highest", False, False)] and settings() == former
    finally:
        torch.set_float32_matmul_precision(before[0])
