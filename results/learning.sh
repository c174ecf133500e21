#!/usr/bin/env bash
# The runs of learning.md, one after the other, or those named: SR_SHARED=PATH results/learning.sh [FOLDER [NAME...]]
# One core each; at most 10 minutes each on the machine that learning.md names. A run that is there is gone on with.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${SR_SHARED:?set SR_SHARED to the folder that holds data/train, data/benchmarks and data/video}"
out=$(realpath -m "${1:-outputs/learning}")
only=("${@:2}")
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
images="data=t91_bsd200_general100 data_dir=$SR_SHARED/data benchmarks=[set5,set14] logger=csv callbacks=[] val_every_steps=500"

run() { # name, arguments of train.py
    local folder=$out/$1
    [[ ${#only[@]} -eq 0 || " ${only[*]} " == *" $1 "* ]] || return 0
    shift
    if [ -f "$folder/results.csv" ]; then return; fi
    if [ -f "$folder/checkpoints/last.ckpt" ]; then
        $python train.py "resume=$folder"
    else
        # shellcheck disable=SC2086
        $python train.py "$@" $images "hydra.run.dir=$folder"
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

# EDVR (without alignment) and BasicVSR x4 (along the flow of its authors' SPyNet, which learns nothing here), and the same
# networks on single frames: eleven clips to learn from, Vid4's city (for EDVR its first seven frames) to measure
video=$SR_SHARED/data/video
mkdir -p "$out"/clips/{train,city34,city7/city}
for clip in "$video"/Vimeo90K_sample/sequences/*/*; do
    ln -sfn "$clip" "$out/clips/train/$(basename "$(dirname "$clip")")_$(basename "$clip")"
done
for clip in calendar foliage walk; do ln -sfn "$video/Vid4/GT/$clip" "$out/clips/train/$clip"; done
ln -sfn "$video/Vid4/GT/city" "$out/clips/city34/city"
for n in 1 2 3 4 5 6 7; do ln -sfn "$video/Vid4/GT/city/00$n.png" "$out/clips/city7/city/00$n.png"; done
images="data=clips data.train=$out/clips/train data.val_frames=2 protocols=[video_y] logger=csv callbacks=[]"
images="$images trainer=cpu"
spynet=$out/spynet.pth
$python - "$SR_SHARED/weights/basicvsr/BasicVSR_Vimeo90K_BIx4.pth" "$spynet" <<'END'
import sys, torch
flow = {k.removeprefix("spynet."): v for k, v in torch.load(sys.argv[1])["params"].items() if k.startswith("spynet.")}
torch.save(flow, sys.argv[2])
END
basicvsr="model=basicvsr recipe=basicvsr_stage model.channels=24 model.num_blocks=1 init_from=$spynet"
basicvsr="$basicvsr +stages={all:{frozen:[flow]}} optimizer=muon optimizer.lr=1e-3 patch_size=32 budget.steps=1500"
basicvsr="$basicvsr loss.terms.charbonnier.loss.eps=1e-2 val_every_steps=400 data.val=$out/clips/city34"
run basicvsr $basicvsr frames=7 batch_size=2
run basicvsr_frames $basicvsr frames=1 batch_size=14 benchmarks=[]
edvr="model=edvr_m recipe=edvr_stage scheduler=cosine model.channels=16 model.num_blocks=1 model.pcd=false batch_size=8"
edvr="$edvr optimizer.lr=2e-3 patch_size=16 loss.terms.charbonnier.loss.loss.eps=1e-2 budget.steps=300"
edvr="$edvr val_every_steps=100 data.val=$out/clips/city7"
run edvr $edvr model.frames=3
run edvr_frames $edvr model.frames=1
