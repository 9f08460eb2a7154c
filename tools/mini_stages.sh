# The stages of the miniature, for tools/demo and tools/bench/mini, which source this in a folder of the seed's own.
# They expect: bin, recipes (absolute folders), seed, and the arrays world_options and eval_options; steps() prints
# overrides for every training.

# Runs one training; its lines bear its name.
train() {
  local name=$1
  shift
  # shellcheck disable=SC2046
  "$bin/finer-train" "$recipes/$name.yaml" "seed=$seed" threads=1 $(steps) "$@" 2>&1 | sed -u "s/^/$name: /" >&2
}

# Products as small as these make more of two cores as two ranks of one thread than as one rank of two.
on_two_ranks() { train "$@" --ranks 2; }

make_world() {
  local mixture started=()
  mkdir -p mixture
  "$bin/finer-data" world --seed "$seed" --out world "${world_options[@]}" >&2 || {
    echo "where a world of an earlier build is in the way, tools/demo --fresh throws it away, and what was trained on it" >&2
    exit 2
  }
  for mixture in direct attr-seek no-answer name-first; do
    "$bin/finer-data" mixture "$recipes/mixture/$mixture.yaml" "seed=$seed" >/dev/null 2>"mixture/$mixture.log" &
    started+=($!)
  done
  for mixture in direct attr-seek no-answer name-first; do
    wait "${started[0]}" || { cat "mixture/$mixture.log" >&2; exit 2; }
    started=("${started[@]:1}")
  done
  "$bin/finer-data" world-check --world world world/text.jsonl world/text-plain.jsonl world/text-turns.jsonl world/visual.jsonl mixture/*.jsonl >&2
}

# evaluate RECIPE [overrides]
evaluate() {
  local recipe=$1
  shift
  "$bin/finer-eval" --ranks 2 "$recipes/$recipe.yaml" threads=1 "${eval_options[@]}" "$@" >/dev/null
}
