#!/usr/bin/env python3
"""The first real run, end to end: stamps -> finer-train -> finer-eval loss -> PEFT reads the adapter -> finer-eval.

    check.py [--work runs/stamps] [--limit N] [--max-loss 0.1] [--keep] [key=value ...]
    check.py --reference      trains in PEFT instead: says what the numbers should look like

Fails when less than nine in ten training pictures are named (EM, free text), when the loss on the training pictures is not below --max-loss, when it was not well above before training, or
when PEFT's loss with RUN/adapter over the same samples differs by more than 1e-4 of itself."""
import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "reference"))
import conversation
import finer_program
import llava
from pictures import load_processor, pixels_of

RECIPE = HERE / "stamps.yaml"


def prepare(work, limit):
    """Returns the paths of data and model, made where they are missing."""
    data, model = work / "stamps.json", work / "model"
    subprocess.run([sys.executable, HERE / "make_dataset.py", data, "--limit", str(limit), "--spread"], check=True)
    if not (model / "config.json").exists():
        subprocess.run([sys.executable, HERE / "make_model.py", model], check=True)
    return data, model


def read_rows(data, model, images):
    tokenizer, processor = conversation.load_tokenizer(model), load_processor(model)
    rows = []
    for sample in conversation.read_samples(data):
        row = conversation.tokenize(tokenizer, sample)
        row["pixels"] = pixels_of(Path(images) / sample["image"], processor)
        rows.append(row)
    return rows


def exact_match(work, data, model_dir, run):
    """EM of the tuned model's free answers on the training pictures, by finer-eval: each picture is asked the question that
    it was learned with, so a run a question."""
    by_question = {}
    for idx, sample in enumerate(json.loads(data.read_text(encoding="utf-8"))):
        question = sample["conversations"][0]["value"].removeprefix("<image>\n")
        by_question.setdefault(question, []).append(
            {"idx": idx, "basic-level-lbl": sample["image"].split("/")[0], "coarse-level-lbl": [],
             "fine-level-lbl": [sample["conversations"][1]["value"]], "img_path": sample["image"], "metadata": {}})
    right = asked = 0
    for number, (question, lines) in enumerate(by_question.items()):
        records, out = work / f"stamps-records-{number}.jsonl", work / f"eval-{number}"
        records.write_text("".join(json.dumps(line) + "\n" for line in lines))
        shutil.rmtree(out, ignore_errors=True)
        finer_program.run("finer-eval", HERE / "eval.yaml", f"models.0.llava={model_dir}", f"models.0.adapter={run}",
                          f"sets.0.records={records}", f"prompts.0.fine={question}", f"output={out}", quiet=False)
        row, = json.loads((out / "results.json").read_text())["rows"]
        right, asked = right + row["em"]["mean"] * row["count"], asked + row["count"]
    return right / asked, asked


def mean_loss(model, rows):
    positions, total, count = llava.image_positions(model), 0.0, 0
    with torch.no_grad():
        for at in range(0, len(rows), 16):
            loss, number = llava.loss_sum(model, *llava.collate(rows[at:at + 16], positions))
            total, count = total + loss.item(), count + number
    return total / count, count


def train_in_peft(recipe, model_dir, rows):
    from transformers import get_cosine_schedule_with_warmup
    model = llava.with_lora(llava.load_base(model_dir), recipe["lora"]["rank"], recipe["lora"]["alpha"])
    optim, steps = recipe["optim"], recipe["optim"]["steps"]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=optim["lr"], weight_decay=optim["weight_decay"], fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(optim["warmup_ratio"] * steps), steps)
    generator, order, positions = torch.Generator().manual_seed(0), [], llava.image_positions(model)
    for step in range(steps):
        order = order or torch.randperm(len(rows), generator=generator).tolist()
        batch, order = order[:recipe["batch"]["samples"]], order[recipe["batch"]["samples"]:]
        loss, count = llava.loss_sum(model, *llava.collate([rows[i] for i in batch], positions))
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(trained, optim["clip_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step + 1:4d}  loss {loss.item() / count:.4f}", flush=True)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, default=Path("runs/stamps"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--max-loss", type=float, default=0.1)
    parser.add_argument("--keep", action="store_true", help="go on from the run that is there")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(2)
    recipe = yaml.safe_load(RECIPE.read_text())
    data, model_dir = prepare(args.work, args.limit)
    rows = read_rows(data, model_dir, recipe["data"]["sets"][0]["images"])
    before, _ = mean_loss(llava.load_base(model_dir), rows)
    print(f"{len(rows)} pictures; loss before training {before:.4f}")
    began = time.time()

    if args.reference:
        after, count = mean_loss(train_in_peft(recipe, model_dir, rows), rows)
        print(f"{'ok' if after < args.max_loss else 'FAILED'}: PEFT: loss {after:.4f} over {count} target tokens "
              f"after {recipe['optim']['steps']} steps, {time.time() - began:.0f} s")
        return 0 if after < args.max_loss else 1

    run = args.work / "run"
    if not args.keep:
        shutil.rmtree(run, ignore_errors=True)
    places = [f"model.llava={model_dir}", f"output={run}",
              f"data.sets=[{{path: {data}, images: {recipe['data']['sets'][0]['images']}}}]"]
    finer_program.run("finer-train", RECIPE, *places, *args.overrides, quiet=False)
    seconds = time.time() - began
    log = finer_program.read_metrics(run)
    found = finer_program.run_json("finer-eval", "loss", RECIPE, *places, f"lora.init_from={run / 'adapter'}")
    after, count = mean_loss(llava.load(model_dir, run / "adapter"), rows)
    gap = abs(found["loss"] - after) / after
    right, asked = exact_match(args.work, data, model_dir, run)
    checks = [
        (right >= 0.9 and asked == len(rows), f"finer-eval: EM {right:.3f} of {asked} training pictures, at least 0.9"),
        (before > 1.0, f"before training the loss is {before:.3f}: the pictures are not known yet"),
        (found["loss"] < args.max_loss, f"finer-eval loss {found['loss']:.5f} below {args.max_loss} "
                                        f"({len(log)} steps, {seconds:.0f} s)"),
        (found["label_tokens"] == count, f"{found['label_tokens']} target tokens, PEFT's side has {count}"),
        (gap <= 1e-4, f"PEFT with RUN/adapter: loss {after:.5f}, gap {gap:.1e}"),
    ]
    for is_good, text in checks:
        print(f"{'ok' if is_good else 'FAILED'}: {text}")
    return 0 if all(is_good for is_good, _ in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
