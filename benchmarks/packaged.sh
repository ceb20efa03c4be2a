#!/bin/sh
# A bundle that ships with the package, from its run. With one inner step from a shared head, whose
# classes all start alike, the gradient of the body is zero: adapting the head alone is the same.
# usage: benchmarks/packaged.sh RUN NAME TASKS [EVAL-OPTIONS...]
set -eu
run=$1 name=$2 tasks=$3
shift 3
. "$(dirname "$0")/say.sh"
bundle=$(dirname "$0")/../edgemeta/device/packaged/$name

say edgemeta export "$run" --out "$bundle" --adapt 'head.*'
say edgemeta verify "$bundle"
for ways in 5 20; do
  for shots in 1 5; do
    say edgemeta eval "$bundle" "$tasks" --ways "$ways" --shots "$shots" --episodes 600 "$@"
  done
done
say edgemeta bench "$bundle" --threads 1
