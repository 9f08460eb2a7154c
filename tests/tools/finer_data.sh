#!/usr/bin/env bash
# finer-data as a user meets it: results, exit codes, one line an error, no half files.
#   finer_data.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0

fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}

# expect CODE PATTERN ARGUMENT...: exit code, and one line on stderr that matches (errors only).
expect() {
  local code=$1 pattern=$2 found=0
  shift 2
  "$program" "$@" >out.txt 2>err.txt || found=$?
  [ "$found" = "$code" ] || fail "$*: exit code $found, expected $code: $(cat err.txt)"
  [ "$code" = 0 ] && return
  [ "$(wc -l <err.txt)" = 1 ] || fail "$*: $(wc -l <err.txt) lines on stderr: $(cat err.txt)"
  grep -q -- "^finer-data: .*$pattern" err.txt || fail "$*: \"$(cat err.txt)\" lacks \"$pattern\""
  [ ! -s out.txt ] || fail "$*: wrote to stdout: $(cat out.txt)"
}

holds() { grep -qF -- "$2" "$1" || fail "$1 lacks \"$2\": $(cat "$1")"; }

cp "$source/tests/golden/text/llama.model" tokenizer.model
mkdir settings
cat >settings/preprocessor_config.json <<'END'
{"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}
END
# A 2 x 1 BMP: a red and a white pixel.
printf 'BM>\0\0\0\0\0\0\0006\0\0\0(\0\0\0\2\0\0\0\1\0\0\0\1\0\30\0\0\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >dot.bmp
printf '\0\0\377\377\377\377\0\0' >>dot.bmp
cat >good.json <<'END'
[{"id": 4, "image": "dot.bmp", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"},
                                                 {"from": "gpt", "value": "A blue jay."}]},
 {"id": "t", "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A wren."}]}]
END
head -c 150 good.json >cut.json
echo '{"id": "b", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt"}]}' >bad.jsonl
cat >recipe.yaml <<'END'
model:
  tokenizer: tokenizer.model
  from_scratch:
    vision: {width: 8, mlp_width: 8, num_layers: 1, num_heads: 1, image_side_px: 8, patch_side_px: 4}
    language: {vocab_size: 700, width: 8, mlp_width: 8, num_layers: 1, num_heads: 1, num_kv_heads: 1, head_size: 8}
    feature_layer: -1
train: {language: full, projector: full, vision: full}
data: {sets: [{path: good.json}]}
output: run
END

# Commands and options.
expect 0 "" --help
holds out.txt tokenize
expect 0 "" --version
holds out.txt LibTorch
for command in tokenize pixels inspect; do expect 0 "" "$command" --help; done
expect 2 "subcommand is required"
expect 2 '"tokenise" is no command; did you mean "tokenize"?' tokenise
expect 2 "--in is required" tokenize --tokenizer tokenizer.model --out o.jsonl
expect 2 "--threads" tokenize --tokenizer tokenizer.model --in good.json --out o.jsonl --threads 0

# tokenize.
expect 0 "" tokenize --tokenizer tokenizer.model --conversation vicuna_v1 --in good.json --out tokens.jsonl
[ ! -s out.txt ] || fail "tokenize wrote to stdout"
[ "$(wc -l <tokens.jsonl)" = 2 ] || fail "two lines expected: $(cat tokens.jsonl)"
holds tokens.jsonl '{"id": 4, "image": "dot.bmp", "input_ids": [1, '
holds tokens.jsonl ' -200, '
holds tokens.jsonl '{"id": "t", "input_ids": [1, '
expect 0 "" tokenize --tokenizer tokenizer.model --in good.json --out -
cmp -s out.txt tokens.jsonl || fail "standard output differs from the file"
cp tokens.jsonl before.jsonl
expect 2 "bad.jsonl: record 0 (id \"b\"): conversations\[1\].value is missing" \
  tokenize --tokenizer tokenizer.model --in bad.jsonl --out tokens.jsonl
cmp -s tokens.jsonl before.jsonl || fail "an error changed the file that was there"
expect 2 "cut.json: record 0 at byte 1 (line 1): the file ends inside it" \
  tokenize --tokenizer tokenizer.model --in cut.json --out new.jsonl
expect 2 "missing.json: cannot be opened" tokenize --tokenizer tokenizer.model --in missing.json --out new.jsonl
expect 2 "missing.model" tokenize --tokenizer missing.model --in good.json --out new.jsonl
expect 2 "good.json" tokenize --tokenizer good.json --in good.json --out new.jsonl
expect 2 'did you mean "plain"' tokenize --conversation plane --tokenizer tokenizer.model --in good.json --out new.jsonl
expect 2 "nowhere/new.jsonl" tokenize --tokenizer tokenizer.model --in good.json --out nowhere/new.jsonl
[ -z "$(ls | grep new)" ] || fail "left behind: $(ls | grep new)"

# pixels: 3 x 8 x 8 float32 a picture.
expect 0 "" pixels --model settings --aspect pad --out pixels.safetensors dot.bmp dot.bmp
holds pixels.safetensors '"pixels.1"'
holds pixels.safetensors '[3,8,8]'
expect 2 "missing.png" pixels --model settings --out new.safetensors dot.bmp missing.png
expect 2 "good.json" pixels --model settings --out new.safetensors good.json
expect 2 'did you mean "crop"' pixels --model settings --aspect crp --out new.safetensors dot.bmp
expect 2 "nowhere" pixels --model nowhere --out new.safetensors dot.bmp
[ -z "$(ls | grep new)" ] || fail "left behind: $(ls | grep new)"

# records.
mkdir -p birds/images/a
printf '1 001.Black_footed_Albatross\r\n' >birds/classes.txt
printf '1 a/1.jpg\n2 a/2.jpg\n' >birds/images.txt
printf '1 1\n2 1\n' >birds/image_class_labels.txt
printf '1 1\n2 0\n' >birds/train_test_split.txt
records() { expect "$1" "$2" records --set cub-200-2011 --root birds --split train --out birds.jsonl "${@:3}"; }
expect 0 "" records --help
records 2 "coarse-classes.txt: no such file"
[ ! -e birds.jsonl ] || fail "an error left birds.jsonl behind"
records 0 "" --coarse none
holds birds.jsonl '{"idx": 0, "basic-level-lbl": "Bird", "coarse-level-lbl": [], "fine-level-lbl": ["Black footed Albatross"]'
[ ! -s out.txt ] || fail "records wrote to stdout"
holds err.txt "files missing             1"
printf '1 1\n' >birds/image_class_labels.txt
records 2 'image_class_labels.txt: image "2" of images.txt has no label' --coarse none
holds birds.jsonl '"idx": 0'
expect 2 'did you mean "nabirds"' records --set nabird --root birds --split train --out new.jsonl
expect 2 'did you mean "test"' records --set nabirds --root birds --split tset --out new.jsonl
printf '1 1\n2 1\n' >birds/image_class_labels.txt
expect 2 "hierarchy.txt: no such file" records --set nabirds --root birds --split train --out new.jsonl
expect 2 "nowhere/new.jsonl" records --set cub-200-2011 --root birds --split train --coarse none --out nowhere/new.jsonl
[ -z "$(ls | grep new)" ] || fail "left behind: $(ls | grep new)"

# inspect.
expect 0 "" inspect recipe.yaml
holds out.txt 'good.json: record 0 (id "4")'
holds out.txt '2 x 1 px, 4 positions from'
holds out.txt 'What is it? ASSISTANT:[[ A blue jay.</s>]]'
expect 0 "" inspect recipe.yaml --sample 1
holds out.txt 'What? ASSISTANT:[[ A wren.</s>]]'
expect 0 "" inspect recipe.yaml data.over_length=drop data.max_tokens=16
holds out.txt 'dropped (data.over_length: drop)'
expect 2 "hold samples 0 to 1" inspect recipe.yaml --sample 2
expect 2 "max_tokns" inspect recipe.yaml data.max_tokns=3
expect 2 "missing.yaml" inspect missing.yaml

# world: a small one, whole or not at all.
small="--specimens 20 --train-pictures 1 --known-pictures 1 --held-out-pictures 1 --probe-pictures 4"
expect 0 "" world --seed 3 --out world --sheet sheet.png $small
holds err.txt "108 known and 27 held-out concepts"
[ -s sheet.png ] || fail "no sheet.png"
expect 0 "" world --seed 3 --out world $small
holds err.txt "is there already"
expect 2 "holds a world of other settings.*--overwrite" world --seed 4 --out world $small
expect 2 "--out is required" world
expect 2 "--chats" world --out new --chats 5
expect 2 "--seed" world --out new --seed -1
expect 2 "--seed" world --out new --seed one
expect 2 "expected 1 to 14" world --out new --held-out 15
expect 2 "pieces cannot be made" world --out new --vocab-size 4000 $small
expect 2 "nowhere" world-check --world nowhere world/visual.jsonl
expect 0 "" world-check --world world world/visual.jsonl world/text.jsonl world/records/unified-mini-known-train-combined.jsonl
[ -z "$(ls | grep new)" ] || fail "left behind: $(ls | grep new)"
code=0
"$program" world-check --world world world/records/unified-mini-held-out-test-combined.jsonl >out.txt 2>err.txt || code=$?
[ "$code" = 2 ] || fail "a leak: exit code $code"
grep -q "kept for tests" err.txt || fail "a leak: $(cat err.txt)"

[ "$failures" = 0 ] && echo "all passed"
exit "$((failures > 0))"
