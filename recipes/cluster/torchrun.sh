#!/bin/sh
# One machine, a rank a GPU; a lost rank starts the job again, up to ten times, from the last complete checkpoint.
#
#   recipes/cluster/torchrun.sh RECIPE [key=value ...]
#
# Several machines by hand: on each, with the same NODES and HOST (the first machine's name).
#   NODES=2 HOST=gpu01 recipes/cluster/torchrun.sh RECIPE
exec torchrun --no-python --max-restarts=10 --nproc-per-node="${GPUS:-gpu}" --nnodes="${NODES:-1}" \
  --rdzv-backend=c10d --rdzv-endpoint="${HOST:-localhost}:29400" --rdzv-id="${JOB:-finer}" finer-train "$@"
