#!/usr/bin/env bash
# The sweeps of ablations.md, one after the other, or those named: SR_SHARED=PATH results/ablations.sh [FOLDER [NAME...]]
# About 5 minutes of training a row on one core of the machine that ablations.md names. Typed again it goes on.
set -uo pipefail
cd "$(dirname "$0")/.."
: "${SR_SHARED:?set SR_SHARED to the folder that holds data/train and data/benchmarks}"
out=$(realpath -m "${1:-outputs/ablations}")
only=("${@:2}")
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
images="data=t91_bsd200_general100 data_dir=$SR_SHARED/data benchmarks=[set5,set14,b100]"
code=0

sweep() { # name, arguments of train.py
    [[ ${#only[@]} -eq 0 || " ${only[*]} " == *" $1 "* ]] || return 0
    # shellcheck disable=SC2086
    $python train.py -m "+ablation=$1" "seed=0,1" scale=2 batch_size=16 patch_size=24 "${@:2}" $images \
        logger=csv "callbacks=[]" "hydra.sweep.dir=$out/$1" || code=1
}

sweep repsr_switch steps=5000
sweep reparam_blocks steps=5000
sweep rlfn_warm_start model.num_blocks=2 model.channels=16 model.mid_channels=16 steps=4000 # of each of two stages
sweep l1_l2 model.num_blocks=4 model.channels=16 optimizer.lr=1e-3 steps=3500
exit $code
