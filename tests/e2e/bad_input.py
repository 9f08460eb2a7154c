#!/usr/bin/env python3
"""What a user gets wrong: exit code 2, one clear line on stderr, nothing half-written, nothing in a file run.

    bad_input.py BIN [--show]        --show prints every message, to be read

Each case says what its line must have in it: the place, what was found, and the fix. Cases that need no step of training are
asked of --dry-run too, which must find the same fault."""
import json
import os
import pickle
import re
import shutil
import struct
import sys
import zipfile

import harness
import shapes_world

# Lines of a run that has begun: not part of the message.
PROGRESS = re.compile(r"\d\d:\d\d:\d\d |step \d+/")


class CodeInside:
    def __reduce__(self):
        return os.system, ("touch CODE_WAS_RUN",)


def torch_zip(path, content):
    """The shape of torch.save's file."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")


def split_in_two(source, folder):
    """model.safetensors as two shards with an index."""
    blob = source.read_bytes()
    size = struct.unpack("<Q", blob[:8])[0]
    header, data = json.loads(blob[8:8 + size]), blob[8 + size:]
    header.pop("__metadata__", None)
    names = sorted(header)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file, entries, body = f"model-{number:05d}-of-00002.safetensors", {}, b""
        for name in part:
            begin, end = header[name]["data_offsets"]
            entries[name] = {**header[name], "data_offsets": [len(body), len(body) + end - begin]}
            body += data[begin:end]
            index[name] = file
        text = json.dumps(entries).encode()
        text += b" " * (-len(text) % 8)
        (folder / file).write_bytes(struct.pack("<Q", len(text)) + text + body)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


class BadInput:
    def __init__(self, test, shows):
        self.test, self.shows, self.work, self.number = test, shows, test.work, 0
        world = self.work / "runs" / "e2e"
        shapes_world.make(world)
        self.names = json.loads((world / "names.json").read_text())
        test.train("optim.steps=2", "output=base")
        full = ("train.language=full", "lora=null", "checkpoint.every_steps=0", "optim.steps=1")
        test.train(*full, "output=full")
        self.model_dir = self.work / "full" / "model"
        test.check((self.model_dir / "model.safetensors").exists(), "no base model to spoil")

    def model(self, name):
        """A copy of the llava-hf directory, and the recipe's words that point at it."""
        folder = self.work / name
        shutil.copytree(self.model_dir, folder)
        return folder, ["model.from_scratch=null", "model.tokenizer=null", f"model.llava={name}"]

    def data(self, name, text):
        file = self.work / name
        file.write_text(text if isinstance(text, str) else json.dumps(text))
        return [f"data.sets=[{{path: {name}, images: runs/e2e/pictures}}]"]

    def one_record(self, name, **changes):
        return self.data(name, [{**self.names[0], **changes}])

    def recipe(self, name, old, new):
        text = harness.RECIPE.read_text()
        assert text.count(old) == 1, old
        file = self.work / name
        file.write_text(text.replace(old, new))
        return file

    def expect(self, what, pattern, *arguments, recipe=None, dry=True, lines=1, output=None):
        """pattern: of the message behind "finer-train: ". output: the run directory, when it is there before."""
        self.number += 1
        for is_dry in (False, True) if dry else (False,):
            run = output or f"out-{self.number}"
            before = self.snapshot()
            words = [recipe or harness.RECIPE, *arguments, f"output={run}", *(["--dry-run"] if is_dry else [])]
            code, out, err = self.test.run("finer-train", *words)
            name = f"{what}{' (dry run)' if is_dry else ''}"
            message = [line for line in err.splitlines() if not PROGRESS.match(line)]
            is_good = self.test.check(code == 2, f"{name}: exit code {code}, expected 2\n{err}")
            is_good &= self.test.check(len(message) == lines, f"{name}: {len(message)} lines, expected {lines}\n{err}")
            text = "\n".join(message)
            is_good &= self.test.check(text.startswith("finer-train: ") and re.search(pattern, text),
                                       f"{name}: the message lacks \"{pattern}\":\n{text}")
            self.test.check(out == "", f"{name}: wrote to stdout: {out[:200]}")
            if self.shows and is_good:
                print(f"{name}\n    {text}")
            self.check_nothing_left(name, run, before)

    def snapshot(self):
        return set(harness.tree(self.work))

    def check_nothing_left(self, name, run, before):
        """At most a run directory without a result: its log, the recipe, what was measured, and whole checkpoints."""
        new = self.snapshot() - before
        allowed = re.compile(rf"{re.escape(run)}/(\.lock|recipe\.yaml|metrics\.jsonl|events\.out\.tfevents\.[^/]*|logs/rank-0\.log)$")
        whole = tuple(path.removesuffix("COMPLETE") for path in new if re.search(r"/step-\d+/COMPLETE$", path))
        left = sorted(path for path in new if not allowed.match(path) and not path.startswith(whole))
        self.test.check(not left, f"{name}: left {left}")
        self.test.check(not (self.work / "CODE_WAS_RUN").exists(), f"{name}: ran the code in the file")


def recipes(b):
    b.expect("unknown key, a near miss", r'near\.yaml:24: optim\.warmup_ration?: .*did you mean "?warmup_ratio',
             recipe=b.recipe("near.yaml", "warmup_ratio: 0.1", "warmup_ration: 0.1"))
    b.expect("unknown key on the command line", r'optim\.lrr: .*did you mean "?lr', "optim.lrr=1")
    b.expect("wrong type", r'type\.yaml:15: lora\.rank: found .*eight.*; expected a whole number',
             recipe=b.recipe("type.yaml", "rank: 8", "rank: eight"))
    b.expect("out of range", r'lora\.dropout: .*1\.5.*expected .*below 1', "lora.dropout=1.5")
    several = b.recipe("several.yaml", "rank: 8, alpha: 16", "rank: eight, alhpa: 16")
    b.expect("three faults at once", r'(?s)lora\.rank.*did you mean "?alpha.*seed', "seed=-1", recipe=several, lines=3)
    b.expect("missing recipe", r'nowhere\.yaml:1: is not there; expected a YAML file', recipe="nowhere.yaml")
    b.expect("recipe that is no YAML", r'broken\.yaml:\d+: ', recipe=b.recipe("broken.yaml", "train: {", "train: [{"))
    b.expect("missing base", r'based\.yaml:1: base: .*nowhere\.yaml',
             recipe=b.recipe("based.yaml", "# The smallest run", "base: nowhere.yaml\n# The smallest run"))
    b.expect("LoRA target without a match", r'lora\.targets\[1\]: "qproj" matches no layer.*did you mean "q_proj"',
             "lora.targets=[v_proj, qproj]")
    b.expect("LoRA pattern without a match", r'lora\.targets\[0\]: ".*qproj" matches no layer; paths look like "language_model',
             "lora.targets=[language_model.**.qproj]")


def files(b):
    b.expect("missing data file", r'nowhere\.json: cannot be opened', "data.sets=[{path: nowhere.json}]")
    b.expect("missing folder of pictures", r'data\.sets\[0\]\.images: "nowhere" is not a folder',
             "data.sets=[{path: runs/e2e/names.json, images: nowhere}]")
    b.expect("missing model directory", r'nowhere.*config\.json|nowhere: ', "model.from_scratch=null", "model.llava=nowhere")
    b.expect("missing tokenizer", r'nowhere\.model.*', "model.tokenizer=nowhere.model")
    b.expect("a tokenizer that is none", r'names\.json.*', "model.tokenizer=runs/e2e/names.json")
    b.expect("tokenizer and model of different vocabulary size", r'640 .*(900|rows)',
             "model.from_scratch.language.vocab_size=900")
    b.expect("more pieces than rows", r'640 .*600', "model.from_scratch.language.vocab_size=600")


def samples(b):
    text = json.dumps(b.names)
    b.expect("JSON with a hole", r'hole\.json: record 4: is not valid JSON at byte 28 of the record',
             *b.data("hole.json", text.replace('"names-4", "image": "04.png"', '"names-4", "image": ')))
    b.expect("JSON that ends early", r'cut\.json: record \d+ .*ends', *b.data("cut.json", text[:len(text) // 2]))
    b.expect("no array", r'word\.json: ', *b.data("word.json", "hello"))
    b.expect("empty array", r'empty\.json: holds no record', *b.data("empty.json", "[]"))
    (b.work / "runs" / "e2e" / "pictures" / "text.png").write_text("this is no picture")
    b.expect("a picture that is none", r'none\.json: record 0 \(id "names-0"\): picture .*text\.png',
             *b.one_record("none.json", image="text.png"))
    whole = (b.work / "runs" / "e2e" / "pictures" / "00.png").read_bytes()
    (b.work / "runs" / "e2e" / "pictures" / "cut.png").write_bytes(whole[:len(whole) // 2])
    b.expect("a picture that ends early", r'half\.json: record 0 \(id "names-0"\): picture .*cut\.png',
             *b.one_record("half.json", image="cut.png"), dry=False)  # a dry run reads headers
    b.expect("missing picture", r'gone\.json: record 0 \(id "names-0"\): picture .*gone\.png',
             *b.one_record("gone.json", image="gone.png"))
    shutil.copyfile(b.work / "runs" / "e2e" / "pictures" / "00.png", b.work / "runs" / "e2e" / "secret.png")
    b.expect("a picture outside its folder", r'outside\.json: record 0 \(id "names-0"\): .*\.\./secret\.png',
             *b.one_record("outside.json", image="../secret.png"))
    b.expect("a picture by absolute path", r'absolute\.json: record 0 \(id "names-0"\): ',
             *b.one_record("absolute.json", image="/etc/passwd"))
    empty = [{"from": "human", "value": "<image>\nWhat?"}]
    b.expect("a sample without an answer", r'mute\.json: record 0 \(id "names-0"\): .*(target|answer)',
             *b.one_record("mute.json", conversations=empty))
    long = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Red, yellow and blue. " * 60}]
    b.expect("a sample over length", r'long\.json: record 0 \(id "names-0"\): .*\d+ .*256',
             *b.one_record("long.json", conversations=long), "data.over_length=error")
    early = [{"from": "human", "value": "<image>\n" + "Red, yellow and blue. " * 60}, {"from": "gpt", "value": "A disc."}]
    b.expect("no target left after cutting", r'lost\.json: record 0 \(id "names-0"\): has no target token left.*data\.max_tokens',
             *b.one_record("lost.json", conversations=early))
    b.expect("an unknown speaker", r'robot\.json: record 0 \(id "names-0"\): .*robot',
             *b.one_record("robot.json", conversations=[{"from": "robot", "value": "<image>"}, {"from": "gpt", "value": "A"}]))


def models(b):
    folder, words = b.model("cut-config")
    (folder / "config.json").write_text((folder / "config.json").read_text()[:300])
    b.expect("config.json that ends early", r'cut-config/config\.json: is not JSON', *words)
    folder, words = b.model("no-weights")
    (folder / "model.safetensors").unlink()
    b.expect("a model directory without weights", r'no-weights: ', *words)
    folder, words = b.model("sharded")
    split_in_two(folder / "model.safetensors", folder)
    (folder / "model.safetensors").unlink()
    code, _, err = b.test.run("finer-train", harness.RECIPE, *words, "output=sharded-run", "optim.steps=1")
    b.test.check(code == 0, f"two shards of the test's own making are not read: {err}")
    shard = folder / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1000])
    b.expect("a truncated shard", r'sharded/model-00002-of-00002\.safetensors: ', *words)
    shard.write_bytes(whole[:5])
    b.expect("a shard of five bytes", r'sharded/model-00002-of-00002\.safetensors: ', *words)
    shard.write_bytes(struct.pack("<Q", 1 << 60) + whole[8:])
    b.expect("a shard with a monstrous header", r'sharded/model-00002-of-00002\.safetensors: ', *words)
    shard.unlink()
    b.expect("a missing shard", r'model-00002-of-00002\.safetensors', *words)
    folder, words = b.model("wide")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] = 161
    (folder / "config.json").write_text(json.dumps(config))
    b.expect("weights of another size",
             r'wide/model\.safetensors: tensor ".*" has shape \[.*160.*\], the config asks for \[.*161', *words)
    folder, words = b.model("deep")
    config["text_config"].update(intermediate_size=160, num_hidden_layers=3)
    (folder / "config.json").write_text(json.dumps(config))
    b.expect("weights of a layer that are missing", r'deep: \d+ weights are missing: language_model\.', *words)
    folder, words = b.model("pickled")
    (folder / "model.safetensors").unlink()
    torch_zip(folder / "pytorch_model.bin", {"language_model.model.norm.weight": CodeInside()})
    b.expect("a pickle with code in it",
             r'pickled/pytorch_model\.bin: .*"(posix|os)\.system".*not allowed.*nothing was run', *words)
    torch_zip(b.work / "mm_projector.bin", [CodeInside()])
    b.expect("a projector with code in it", r'mm_projector\.bin: .*"(posix|os)\.system".*not allowed',
             "model.from_scratch=null", "model.language=full/model", "model.vision=full/model",
             "model.projector=mm_projector.bin")


def adapters(b):
    b.expect("an adapter for another model", r'base/adapter.*: .*(rank|shape|\[)', "model.from_scratch.language.mlp_width=168",
             "lora.init_from=base/adapter")
    b.expect("an adapter of another rank", r'base/adapter: .*rank 8', "lora.rank=4", "lora.alpha=8",
             "lora.init_from=base/adapter")
    b.expect("an adapter with more layers", r'base/adapter: holds an adapter for .*, which lora\.targets does not name',
             "lora.targets=[q_proj]", "lora.init_from=base/adapter")
    b.expect("a missing adapter", r'nowhere: is not an adapter directory', "lora.init_from=nowhere")
    shutil.copytree(b.work / "base" / "adapter", b.work / "cut-adapter")
    weights = b.work / "cut-adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    b.expect("a truncated adapter", r'cut-adapter/adapter_model\.safetensors: ', "lora.init_from=cut-adapter")
    (b.work / "cut-adapter" / "adapter_config.json").write_text('{"peft_type": "LORA", ')
    b.expect("an adapter's config with a hole", r'cut-adapter/adapter_config\.json: is not JSON', "lora.init_from=cut-adapter")


def checkpoints(b):
    same = ["optim.steps=2"]
    before = harness.tree(b.work / "base")
    b.expect("another recipe than the run's",
             r'base/checkpoints/step-2: was made by another recipe: .*rank: 8.*rank: 4.*--resume never', *same,
             "lora.rank=4", output="base", dry=False)
    b.expect("--resume of what is no checkpoint", r'base/adapter: is not a complete checkpoint \(no COMPLETE marker\)',
             *same, "--resume", "base/adapter", dry=False)
    b.expect("--resume of what is not there", r'nowhere: ', *same, "--resume", "nowhere", dry=False)
    broken = b.work / "broken" / "checkpoints" / "step-2"
    shutil.copytree(b.work / "base" / "checkpoints" / "step-2", broken)
    (broken / "COMPLETE").unlink()
    b.expect("--resume of half a checkpoint", r'broken/checkpoints/step-2: is not a complete checkpoint',
             *same, "--resume", "broken/checkpoints/step-2", dry=False)
    (broken / "COMPLETE").write_text("")
    state = broken / "state.json"
    whole = state.read_text()
    state.write_text(whole[:40])
    b.expect("a checkpoint's state with a hole",
             r'broken/checkpoints/step-2/state\.json: is not JSON at byte 41; use another checkpoint', *same, "--resume",
             "broken/checkpoints/step-2", dry=False)
    state.write_text(whole)
    optimizer = broken / "optimizer.safetensors"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    b.expect("a checkpoint's optimizer cut short", r'broken/checkpoints/step-2/optimizer\.safetensors: ', *same, "--resume",
             "broken/checkpoints/step-2", dry=False)
    names = b.work / "runs" / "e2e" / "names.json"
    text = names.read_text()
    names.write_text(text.replace("red disc", "red disk"))
    b.expect("other data than the run's", r'base/checkpoints/step-2: was made with other data: runs/e2e/names\.json', *same,
             output="base", dry=False)
    names.write_text(text)
    b.test.check(harness.tree(b.work / "base") == before, "a refused resume changed the run that was there")


def main():
    shows = "--show" in sys.argv
    if shows:
        sys.argv.remove("--show")

    def body(test):
        b = BadInput(test, shows)
        for part in (recipes, files, samples, models, adapters, checkpoints):
            part(b)

    harness.main(body, __doc__)


if __name__ == "__main__":
    main()
