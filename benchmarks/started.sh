#!/bin/sh
# Meta-training from the pre-trained weights that `speech.sh` or `watch.sh` left, with the baselines.
# usage: benchmarks/started.sh DATA.npz EARLIER OUT PRETRAINED TRAINING...
#   EARLIER: OUT of the other script; PRETRAINED: outer steps of its pre-training; TRAINING: options
#   that say how to read the data and which network, as the earlier training, and how to train
set -eu
data=$1 pretrained=$2/run/baselines/pretrained out=$3 steps=$4
shift 4
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train "$data" --out "$out/run" --start "$pretrained" --validation-episodes 300 \
  --threads 1 "$@"
mkdir -p "$out/run/baselines"
cp -r "$pretrained" "$out/run/baselines"
say edgemeta baselines "$out/run" --pretrain-iterations "$steps"
