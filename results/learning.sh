#!/usr/bin/env bash
# The runs of learning.md, one after the other, or those named: SR_SHARED=PATH results/learning.sh [FOLDER [NAME...]]
# One core each; at most 10 minutes each on the machine that learning.md names. A run that is there is gone on with.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${SR_SHARED:?set SR_SHARED to the folder that holds data/train and data/benchmarks}"
out=$(realpath -m "${1:-outputs/learning}")
only=("${@:2}")
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
images="data=t91_bsd200_general100 data_dir=$SR_SHARED/data benchmarks=[set5,set14] logger=csv callbacks=[]"

run() { # name, arguments of train.py
    local folder=$out/$1
    [[ ${#only[@]} -eq 0 || " ${only[*]} " == *" $1 "* ]] || return 0
    shift
    if [ -f "$folder/results.csv" ]; then return; fi
    if [ -f "$folder/checkpoints/last.ckpt" ]; then
        $python train.py "resume=$folder"
    else
        rm -rf "$folder"
        # shellcheck disable=SC2086
        $python train.py "$@" $images val_every_steps=500 "hydra.run.dir=$folder"
    fi
}

# SRCNN and ESPCN x3: the note's Adam, its rate falling to nothing, and the paper's SGD for as many steps on as many pixels
run srcnn_adam model=srcnn scale=3 scheduler=cosine optimizer.lr=4e-3 patch_size=8 batch_size=16 budget.steps=14000
run srcnn_sgd model=srcnn scale=3 recipe=srcnn_sgd patch_size=8 batch_size=16 budget.steps=14000
run espcn_adam model=espcn scale=3 scheduler=cosine batch_size=16 budget.steps=8000
run espcn_sgd model=espcn scale=3 recipe=espcn_sgd batch_size=16 budget.steps=8000

# blocks that are one 3x3 convolution in the end, at x2 and at equal steps, patches and rate
small="scale=2 batch_size=16 patch_size=24 optimizer.lr=1e-3 budget.steps=3000"
run repsr_switch model=repsr_m4c16 $small
run repsr_no_switch model=repsr_m4c16 $small callbacks.population_statistics.at_step=null
run plain model=plain model.num_blocks=4 model.channels=16 $small
run ecbsr model=ecbsr_m4c16 $small

# RLFN's warm start on a small RLFN, three stages of L1, beside one run of as many steps
tiny="model=rlfn model.num_blocks=2 model.channels=16 model.mid_channels=16 scale=2 batch_size=16 patch_size=24 loss=l1"
run warm_start $tiny recipe=rlfn budget.steps=1800
run one_long_run $tiny recipe=rlfn_long budget.steps=1800
