#!/bin/sh
# Activity by smartwatch: tasks of one person each, tested on people who are new, with baselines.
# usage: benchmarks/watch.sh DATA.npz OUT
set -eu
data=$1 out=$2
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train "$data" --by subject --out "$out/run" --model ds-cnn --width 32 \
  --head shared --iterations 1500 --validation-episodes 300 --threads 1
say edgemeta baselines "$out/run"
