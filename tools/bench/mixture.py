"""See tools/bench/mixture: makes the inputs, runs finer-data mixture once a kind, prints a table.

    mixture.py BIN MIX_SAMPLES"""
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

SETS = {"cub-200-2011": 200, "fgvc-aircraft": 100, "inaturalist": 2000, "stanford-cars": 196, "stanford-dogs": 120}
PICTURES = {"inaturalist": 20000}
TURNS = 5  # questions a conversation; with WORDS this is about 1.5 kB a sample, as LLaVA's file has
WORDS = "a photo of the small brown bird on its branch near the water with two people who look at the red car and".split()


def write_mix(path, count):
    rng = random.Random(1)
    answers = [" ".join(rng.choices(WORDS, k=rng.randint(5, 70))) + "." for _ in range(997)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n")
        for i in range(count):
            turns = []
            for turn in range(TURNS):
                mark = "<image>\n" if turn == 0 else ""
                turns.append({"from": "human", "value": mark + "What \"is\" it? " + answers[(i * 7 + turn) % 101][:80]})
                turns.append({"from": "gpt", "value": answers[(i * 31 + turn * 5) % 997]})
            record = {"id": f"{i:012d}", "image": f"coco/train2017/{i:012d}.jpg", "conversations": turns}
            file.write(("," if i else "") + json.dumps(record) + "\n")
        file.write("]\n")


def write_set(folder, key, classes):
    pictures = PICTURES.get(key, 6000)
    names = [f"{key} {c}" for c in range(classes)]
    with open(folder / f"{key}.jsonl", "w", encoding="utf-8") as file:
        for idx in range(pictures):
            c = idx * 7919 % classes
            file.write(json.dumps({"idx": idx, "basic-level-lbl": f"Group {c % 11}", "coarse-level-lbl": [f"Family {c % 40}"],
                                   "fine-level-lbl": [names[c]], "img_path": f"images/{c}/{idx}.jpg", "metadata": {}}) + "\n")
    attributes = [{"id": c, "name": name, "attr_binomial": {"required": ["brown wings", "long tail", f"mark {c}"], "likely": []}}
                  for c, name in enumerate(names)]
    (folder / f"{key}.json").write_text(json.dumps(attributes))


def run(command):
    """Seconds, peak resident MB and exit code."""
    begin = time.monotonic()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    return time.monotonic() - begin, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main():
    program, count = str(Path(sys.argv[1]).resolve() / "finer-data"), int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="finer-bench-") as name:
        folder = Path(name)
        write_mix(folder / "mix.json", count)
        for key, classes in SETS.items():
            write_set(folder, key, classes)
        size = (folder / "mix.json").stat().st_size
        print(f"{count} conversations, {size / 1e6:.0f} MB, behind {2500 * len(SETS)} samples")
        print(f"{'output':8} {'seconds':>8} {'peak MB':>8}")
        worst = 0.0
        for extension in ("json", "jsonl"):
            command = [program, "mixture", "--mix", str(folder / "mix.json"), "--out", str(folder / f"out.{extension}")]
            for key in SETS:
                command += ["--set", f"{key}={folder / key}.jsonl", "--attributes", f"{key}={folder / key}.json", "--images",
                            f"{key}={key}"]
            seconds, peak_mb, code = run(command)
            print(f"{extension:8} {seconds:8.1f} {peak_mb:8.0f}", flush=True)
            (folder / f"out.{extension}").unlink(missing_ok=True)
            worst = max(worst, seconds / 30, peak_mb / 1024, float(code != 0) * 9)
        print("within 30 s and 1 GB" if worst <= 1 else "NOT within 30 s and 1 GB")
        return 0 if worst <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
