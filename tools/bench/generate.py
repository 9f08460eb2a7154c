"""Driver of generate: 64 questions about 8 pictures, answered by the two sides in turn."""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import scenarios  # also puts tests/reference on the path
import conversation
import finer_program
import layouts
import llava
from make_models import tokenizer_file
from pictures import draw_picture, load_processor, pixels_of
from samples import sentence

NUM_PICTURES, QUESTIONS_EACH = 8, 8
ANSWERS = {"equal": lambda rng: 16, "mixed": lambda rng: round(4 * 12 ** rng.random())}  # tokens; mixed: 4 to 48


def prepare(work, lengths):
    """Returns (model directory, questions file, questions)."""
    model_dir = finer_program.ROOT / "runs" / "vs_peft" / "model"
    if not (model_dir / "config.json").exists():
        torch.manual_seed(0)
        layouts.write_hf(model_dir, llava.randomise(llava.build(scenarios.VISION, scenarios.TEXT), seed=1),
                         tokenizer_file())
    work.mkdir(parents=True, exist_ok=True)
    rng, questions = random.Random(5), []
    for number in range(NUM_PICTURES):
        picture = work / f"{number}.png"
        draw_picture(picture, 900 + number, 150, 100)
        for _ in range(QUESTIONS_EACH):
            questions.append({"image": str(picture), "prompt": sentence(rng, rng.randint(4, 14)) + "?",
                              "tokens": ANSWERS[lengths](rng)})
    rng.shuffle(questions)  # as a test set has them: those of one picture do not stand together
    file = work / f"{lengths}.jsonl"
    file.write_text("".join(json.dumps(q) + "\n" for q in questions))
    return model_dir, file, questions


class Transformers:
    """As a careful user batches: padded on the left, all pixels ready, SDPA, the cache of `generate`. A batch runs
    until its longest answer is there."""

    def __init__(self, model_dir, questions):
        self.model = llava.load_base(model_dir)
        tokenizer, processor = conversation.load_tokenizer(model_dir), load_processor(model_dir)
        positions, self.rows = llava.image_positions(self.model), []
        for q in questions:
            sample = {"conversations": [{"from": "human", "value": "<image>\n" + q["prompt"]}]}
            ids = conversation.encode(tokenizer, conversation.prompt_of(sample))
            wide, _ = llava.widen(ids, ids, positions)
            self.rows.append((wide, pixels_of(q["image"], processor), q["tokens"]))

    def run(self, size):
        """Returns (seconds, answers)."""
        answers, began = [], time.perf_counter()
        for at in range(0, len(self.rows), size):
            rows = self.rows[at:at + size]
            longest = max(len(ids) for ids, _, _ in rows)
            ids = torch.tensor([[0] * (longest - len(r[0])) + r[0] for r in rows])
            mask = torch.tensor([[0] * (longest - len(r[0])) + [1] * len(r[0]) for r in rows])
            tokens = max(r[2] for r in rows)
            out = self.model.generate(input_ids=ids, attention_mask=mask, pixel_values=torch.stack([r[1] for r in rows]),
                                      do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0,
                                      eos_token_id=None)
            answers += [line[longest:longest + r[2]].tolist() for line, r in zip(out, rows)]
        return time.perf_counter() - began, answers


def finer_side(model_dir, file, threads, sequences, reuse):
    folder = Path(os.environ.get("FINER_BIN", finer_program.ROOT / "build" / "dev" / "bin"))
    command = [folder / "generate_side", model_dir, file, threads, sequences, reuse]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    return json.loads(subprocess.run([str(x) for x in command], check=True, stdout=subprocess.PIPE,
                                     env=environment).stdout)


def main():
    parser = argparse.ArgumentParser(prog="generate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64], help="transformers' batch sizes")
    parser.add_argument("--lengths", nargs="+", default=list(ANSWERS), choices=list(ANSWERS))
    parser.add_argument("--work", type=Path, default=finer_program.ROOT / "runs" / "generate")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    is_bad = 0
    for lengths in args.lengths:
        model_dir, file, questions = prepare(args.work.resolve(), lengths)
        reference = Transformers(model_dir, questions)
        reference.run(args.batches[-1])  # warm-up
        seconds = {}
        for size in args.batches:
            seconds[size], expected = reference.run(size)
        best = min(seconds, key=seconds.get)
        new = sum(q["tokens"] for q in questions)
        print(f"{lengths}: {len(questions)} questions about {NUM_PICTURES} pictures, {new} new tokens, "
              f"{args.threads} threads; transformers by batch: "
              + ", ".join(f"{size}: {s:.2f} s" for size, s in seconds.items()))
        times = {"transformers": [], "finer, one prompt at a time, no reuse": [], "finer, no reuse": [], "finer": []}
        for _ in range(args.rounds):
            times["transformers"].append(reference.run(best)[0])
            for name, sequences, reuse in (("finer, one prompt at a time, no reuse", 1, "none"),
                                           ("finer, no reuse", 64, "none"), ("finer", 64, "reuse")):
                found = finer_side(model_dir, file, args.threads, sequences, reuse)
                times[name].append(found["seconds"])
        off = sum(a != b for a, b in zip(found["answers"], expected))
        base = statistics.median(times["transformers"])
        for name, values in times.items():
            middle = statistics.median(values)
            print(f"  {name:40s} {middle:7.2f} s  {len(questions) / middle:7.1f} questions/s  {base / middle:5.2f}x"
                  f"   ({min(values):.2f} to {max(values):.2f} s)")
        print(f"  with reuse: {found['computed_tokens']} tokens computed, {found['reused_tokens']} found in the cache, "
              f"{found['encoded_pictures']} pictures encoded; {off} of {len(questions)} answers differ")
        is_bad |= off > 0
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} at the end"
          + ("" if load < args.threads + 1 else " (others were busy: do not quote these)"))
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
