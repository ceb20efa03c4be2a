#!/bin/sh
# Omniglot: one row of the table of results, from training to the evaluation.
# usage: benchmarks/omniglot_table.sh ROW DATA OUT [train|eval]
# DATA: the official folders, or an .npz of them. Rows that start with gpu- train on a GPU; the part
# "eval" alone may follow on another machine.
set -eu
row=$1 data=$2 out=$3 part=${4:-both} tasks=omniglot
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

# Every row: 64 filters, stride 2, checkpoint chosen by validation.
train() {
  say edgemeta train "$tasks" --root "$data" --out "$out/run" --pool stride --meta-batch 16 \
    --threads 1 --meta-lr 0.002 --validation-episodes 200 --validate-every 250 "$@"
}
case $row in *vinyals*) tasks=omniglot-vinyals ;; esac
[ "$part" = eval ] || case $row in
  shared-5w1s) train --head shared --iterations 3000 ;;
  transductive-5w1s) train --norm transductive --iterations 2500 ;;
  shared-20w1s) train --head shared --ways 20 --queries 3 --meta-batch 8 --iterations 3500 \
    --validate-every 500 ;;
  vinyals-20w1s) train --head shared --ways 20 --queries 3 --meta-batch 8 --iterations 2000 \
    --validate-every 500 ;;
  gpu-20w1s) train --head shared --ways 20 --queries 3 --iterations 7000 --validate-every 1000 \
    --device cuda --threads 7 ;;
  gpu-vinyals-20w1s) train --head shared --ways 20 --queries 3 --iterations 3000 \
    --validate-every 500 --device cuda --threads 7 ;;
  *) echo "unknown row $row" >&2; exit 2 ;;
esac
[ "$part" = train ] || case $row in
  *20w1s)
    for ways in 5 20; do
      for shots in 1 5; do
        say edgemeta eval "$out/run" "$tasks" --root "$data" --ways "$ways" --shots "$shots" \
          --episodes 600
      done
    done
    ;;
  *) say edgemeta eval "$out/run" "$tasks" --root "$data" --episodes 1000 ;;
esac
