#!/bin/sh
# Keep what a run says of itself among the results; where things lay on this machine is left out.
# usage: benchmarks/keep.sh LOG RUN NAME DATA   (DATA: the folder of the data, as the log spells it)
set -eu
log=$1 run=$2 name=$3 data=$4
to=$(dirname "$0")/results/training/$name
above=$(dirname "$(dirname "$run")")
mkdir -p "$to"
for file in config.toml metrics.jsonl result.json baselines.json; do
  if [ -f "$run/$file" ]; then
    sed "s#$data/##g; s#$above/##g" "$run/$file" > "$to/$file"
  fi
done
sed "s#$data/##g; s#$above/##g; s#$(dirname "$0")/../##g" "$log" > "$to/log.txt"
