#!/usr/bin/env python3
"""Twenty LoRA steps in transformers + PEFT and in finer-train, from the same adapter over the same samples.

    peft_run.py --model DIR --work DIR [--cases lora projector accumulate decay] [--steps 20] [--bound 1e-4]

Each case: PEFT writes an adapter whose B is not zero (so that all gradients flow), trains from it and prints its losses;
finer-train does the same from `lora.init_from`; loss, learning rate and gradient norm are compared step by step. Then
RUN/adapter is loaded by PEFT onto the same base: its logits are to be finer-eval's, every tensor in it is to have moved,
and to lie where PEFT's own training put it. --reference-only stops before finer."""
import argparse
import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from torch import nn
from transformers import get_cosine_schedule_with_warmup

import conversation
import finer_program
import llava
from logits import compare, finer_logits, reference_logits
from pictures import load_processor, pixels_of
from samples import mixed_set

RANK, ALPHA = 8, 16.0
NUM_SAMPLES, BATCH = 24, 5  # the last step of an epoch has four samples
LR, WARMUP_RATIO, CLIP = 2e-3, 0.12, 1.0

# pass_samples: samples a forward pass of the PEFT side; device_tokens: the same for finer
CASES = {
    "lora": dict(projector=False, projector_lr=0.0, weight_decay=0.0, pass_samples=BATCH, device_tokens=16384),
    "projector": dict(projector=True, projector_lr=5e-4, weight_decay=0.0, pass_samples=BATCH, device_tokens=16384),
    "accumulate": dict(projector=True, projector_lr=5e-4, weight_decay=0.0, pass_samples=1, device_tokens=160),
    "decay": dict(projector=False, projector_lr=0.0, weight_decay=0.1, pass_samples=BATCH, device_tokens=16384),
}


def write_initial_adapter(model_dir, folder, projector):
    model = llava.with_lora(llava.load_base(model_dir), RANK, ALPHA, projector=projector)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.requires_grad:
                noise = torch.randn(weight.shape, generator=generator)
                if "lora_A" in name:
                    weight.copy_(noise * weight.shape[1] ** -0.5)
                elif "lora_B" in name:
                    weight.copy_(0.02 * noise)
                else:  # the projector, moved off the base so that reading it matters
                    weight.add_(0.01 * noise)
    model.save_pretrained(folder)


def trainable_copy(model_dir, adapter):
    from peft import PeftModel
    return PeftModel.from_pretrained(llava.load_base(model_dir), adapter, is_trainable=True).eval()


def steps_of(rows, num_steps):
    """File order, a step never crosses the end of an epoch."""
    epoch = [rows[at:at + BATCH] for at in range(0, len(rows), BATCH)]
    return [epoch[step % len(epoch)] for step in range(num_steps)]


def train_peft(model, rows, case, num_steps):
    """Returns a dict a step: loss, lr, grad_norm (before clipping)."""
    is_projector = lambda name: llava.PROJECTOR in name
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [{"params": [p for n, p in named if not is_projector(n)], "lr": LR}]
    if case["projector"]:
        groups.append({"params": [p for n, p in named if is_projector(n)], "lr": case["projector_lr"]})
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, weight_decay=case["weight_decay"])
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(WARMUP_RATIO * num_steps), num_steps)
    positions = llava.image_positions(model)
    log = []
    for samples in steps_of(rows, num_steps):
        num_targets = sum(sum(label != llava.IGNORE for label in row["labels"][1:]) for row in samples)
        total = 0.0
        for at in range(0, len(samples), case["pass_samples"]):
            loss, _ = llava.loss_sum(model, *llava.collate(samples[at:at + case["pass_samples"]], positions))
            (loss / num_targets).backward()
            total += loss.item()
        grad_norm = nn.utils.clip_grad_norm_([p for _, p in named], CLIP).item()
        log.append({"loss": total / num_targets, "lr": schedule.get_last_lr()[0], "grad_norm": grad_norm})
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    return log


def write_recipe(path, model_dir, data, adapter, out, case, num_steps):
    path.write_text(yaml.safe_dump({
        "model": {"llava": str(model_dir), "dtype": "float32"},
        "train": {"language": "lora", "projector": "full" if case["projector"] else "frozen", "vision": "frozen"},
        "lora": {"rank": RANK, "alpha": ALPHA, "dropout": 0.0, "targets": llava.ALL_LINEAR,
                 "init_from": str(adapter)},
        "data": {"sets": [{"path": str(data), "images": str(data.parent)}], "conversation": "vicuna_v1",
                 "image_aspect": "pad", "max_tokens": 2048, "shuffle": False},
        "batch": {"samples": BATCH, "device_tokens": case["device_tokens"]},
        "optim": {"lr": LR, **({"projector_lr": case["projector_lr"]} if case["projector"] else {}),
                  "schedule": "cosine", "warmup_ratio": WARMUP_RATIO, "weight_decay": case["weight_decay"],
                  "clip_norm": CLIP, "epochs": math.ceil(num_steps / math.ceil(NUM_SAMPLES / BATCH)),
                  "steps": num_steps},
        "checkpoint": {"every_steps": 0}, "output": str(out), "device": "cpu", "threads": 2, "seed": 0},
        sort_keys=False))


def hash_of(model_dir):
    digest = hashlib.sha256()
    for file in sorted(Path(model_dir).iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


class Verdict:
    """Collects what failed, so that one run shows everything."""

    def __init__(self):
        self.failed = []

    def check(self, is_good, text):
        print(f"  {'ok' if is_good else 'FAILED'}: {text}")
        if not is_good:
            self.failed.append(text)


def relative(a, b):
    return abs(a - b) / max(abs(b), 1e-12)


def compare_logs(verdict, want, have, bound):
    verdict.check(len(have) == len(want), f"{len(have)} lines in metrics.jsonl, expected {len(want)}")
    print("  step   PEFT loss     finer loss    gap       lr gap    norm gap")
    worst = {"loss": 0.0, "lr": 0.0, "grad_norm": 0.0}
    for step, (a, b) in enumerate(zip(want, have)):
        gaps = {key: relative(b[key], a[key]) if a[key] else abs(b[key]) for key in worst}
        worst = {key: max(worst[key], gaps[key]) for key in worst}
        print(f"  {step + 1:4d}   {a['loss']:.8f}    {b['loss']:.8f}    {gaps['loss']:.1e}   {gaps['lr']:.1e}   "
              f"{gaps['grad_norm']:.1e}")
    verdict.check(worst["loss"] <= bound, f"losses within {worst['loss']:.1e} relative, bound {bound:.0e}")
    verdict.check(worst["lr"] <= 1e-6, f"learning rates within {worst['lr']:.1e} relative")
    verdict.check(worst["grad_norm"] <= 1e-3, f"gradient norms within {worst['grad_norm']:.1e} relative")


def compare_adapters(verdict, initial, peft_final, finer_final):
    start, want, have = (load_file(str(folder / "adapter_model.safetensors"))
                         for folder in (initial, peft_final, finer_final))
    missing, extra = sorted(set(want) - set(have)), sorted(set(have) - set(want))
    verdict.check(not missing and not extra, f"{len(have)} tensors in the adapter under PEFT's names"
                  + (f"; missing {missing[:3]}, extra {extra[:3]}" if missing or extra else ""))
    names = sorted(set(want) & set(have))
    still = [name for name in names if torch.equal(start[name], have[name].to(start[name].dtype))]
    verdict.check(not still, f"all {len(names)} tensors moved" + (f" but for {still[:3]}" if still else ""))
    if not names:
        return
    gaps = [((want[n] - have[n]).norm() / (want[n] - start[n]).norm()).item() for n in names]
    verdict.check(max(gaps) <= 2e-2, f"updates differ from PEFT's by at most {max(gaps):.1e} of their length")


def run_case(name, model_dir, work, num_steps, bound, verdict, reference_only):
    case = CASES[name]
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = mixed_set(work / "data", NUM_SAMPLES, seed=5)
    tokenizer, processor = conversation.load_tokenizer(model_dir), load_processor(model_dir)
    rows = [conversation.tokenize(tokenizer, sample) for sample in conversation.read_samples(data)]
    tokens = work / "data" / "tokens.jsonl"
    conversation.write_tokens(tokens, rows)
    for row in rows:
        row["pixels"] = pixels_of(data.parent / row["image"], processor) if "image" in row else None

    initial, before = folder / "initial", hash_of(model_dir)
    write_initial_adapter(model_dir, initial, case["projector"])
    model = trainable_copy(model_dir, initial)
    want = train_peft(model, rows, case, num_steps)
    model.save_pretrained(folder / "peft")
    (folder / "peft_losses.json").write_text(json.dumps(want, indent=1) + "\n")
    print(f"{name}: PEFT's losses", " ".join(f"{line['loss']:.6f}" for line in want), flush=True)
    recipe, run = folder / "recipe.yaml", folder / "run"
    write_recipe(recipe, model_dir, data, initial, run, case, num_steps)
    if reference_only:
        return want

    finer_program.run("finer-train", recipe, "--resume", "never")
    compare_logs(verdict, want, finer_program.read_metrics(run), bound)
    compare_adapters(verdict, initial, folder / "peft", run / "adapter")
    verdict.check(hash_of(model_dir) == before, "the base directory is untouched")

    loaded = llava.load(model_dir, run / "adapter")
    worst = compare(reference_logits(loaded, rows), finer_logits(
        ["--model", model_dir, "--adapter", run / "adapter"], tokens, data.parent), rows, bound, quiet=True)
    verdict.check(worst <= bound, f"PEFT with RUN/adapter has finer-eval's logits, gap {worst:.1e}")
    return want


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--bound", type=float, default=1e-4)
    parser.add_argument("--reference-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    verdict, logs = Verdict(), {}
    for name in args.cases:
        logs[name] = run_case(name, args.model.resolve(), args.work.resolve(), args.steps, args.bound, verdict,
                              args.reference_only)
    if {"projector", "accumulate"} <= set(logs):
        # the same maths in another order: what float32 alone does to this run
        noise = max(relative(a["loss"], b["loss"]) for a, b in zip(logs["projector"], logs["accumulate"]))
        print(f"PEFT against itself, one pass a step and one a sample: losses within {noise:.1e}")
        verdict.check(noise <= args.bound, "that is within the bound, so the bound can be asked of finer")
    print("FAILED: " + "; ".join(verdict.failed) if verdict.failed else "ok")
    return 1 if verdict.failed else 0


if __name__ == "__main__":
    sys.exit(main())
