"""The bar of a run, where nobody watches it: some lines of a log."""


def test_a_log_without_a_terminal_holds_lines_and_no_carriage_returns(command):
    typed = ["model=ecbsr_m4c8", "scale=2", "budget=smoke", "callbacks=[]", "budget.steps=8"]
    outcome = command("train.py", *typed)
    assert outcome.code == 0 and "\r" not in outcome.out + outcome.err and "\x1b" not in outcome.out, outcome
    bar = [line for line in outcome.out.splitlines() if line.startswith("train:")]
    assert 3 <= len(bar) <= 25 and "8/8" in bar[-1] and "loss=" in bar[-1], bar
