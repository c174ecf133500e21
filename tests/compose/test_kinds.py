"""Where a value of another kind is typed, the kind that is wanted is told; what is told to type composes."""

import re

import hydra
import pytest

from sr.compose.conf import CONF
from sr.compose.kinds import kind_wanted, one_value
from sr.compose.schema import register


@pytest.mark.parametrize(
    ("command", "typed", "advice"),
    [
        ("train", "seed=0,1", ""),
        ("train", "steps=10,20", ""),
        ("train", "model=bsrn,rlfn", ""),
        ("train", "optimizer.lr=1e-3,1e-4", ""),
        ("train", "budget.steps=1,2", ""),
        ("train", "scale=2,3", "scale=[2,3]"),
        ("train", "frozen=a,b", "frozen=[a,b]"),
        ("train", "callbacks=ema,panels", "callbacks=[ema,panels]"),
        ("train", "optimizer.betas=0.9,0.99", "optimizer.betas=[0.9,0.99]"),
        ("measure", "scale=4,3", ""),
        ("evaluate", "scale=4,3", ""),
        ("evaluate", "checkpoint=a,b", "checkpoint=[a,b]"),
        ("evaluate", "data.root=A,B", "data.root=[A,B]"),
    ],
)
def test_several_values_are_a_list_only_where_a_list_is_taken(command, typed, advice):
    register()
    told = one_value(typed, command, [typed])
    assert told.startswith(f"{typed}: ") and "-m" in told
    assert re.findall(r"[\w.]+=\[.*?\]", told) == ([advice] if advice else [])
    if advice:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            hydra.compose(command, [f"++{advice}" if advice.startswith("data.") else advice])


@pytest.mark.parametrize(
    ("command", "typed", "told"),
    [
        ("train", "frozen=head", "a list is wanted here, frozen=[head]"),
        ("train", "benchmarks=3", "a list is wanted here, benchmarks=[3]"),
        ("measure", "size=96", "a list is wanted here, size=[96,96]"),
        ("train", "stages=abc", "names with settings are wanted here, stages={name: ...}"),
        ("train", "zoo=abc", "zoo.dir=..., zoo.download=..."),
        ("train", "steps=many", ""),
        ("train", "frozen=null", "a list is wanted here, frozen=[]"),
        ("train", "stages=null", ""),
        ("evaluate", "benchmarks=null", "a list is wanted here, benchmarks=[bundled]"),
        ("train", "optimizer.lr=abc", ""),
    ],
)
def test_the_kind_that_is_wanted_is_told(command, typed, told):
    found = kind_wanted(typed, command)
    assert told in found and bool(told) == bool(found)
