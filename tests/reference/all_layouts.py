#!/usr/bin/env python3
"""finer over every layout that make_models.py wrote, against the reference of the shape: logits by
`finer-eval logits`; where the model is in three parts, which only a recipe can say, the loss by `finer-eval loss`.

    all_layouts.py MODELS [--shapes A B C] [--work DIR] [--bound 1e-4]"""
import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
import yaml

import conversation
import finer_program
import layouts
import llava
from logits import compare, finer_logits, read_rows, reference_logits
from pictures import load_processor
from samples import mixed_set


def reference_loss(reference, rows, positions, vocab):
    """Mean over all target tokens, from logits cut to the rows that the layout has."""
    total, count = 0.0, 0
    for logits, row in zip(reference, rows):
        labels = torch.tensor(llava.widen(row["input_ids"], row["labels"], positions)[1])[1:]
        kept = labels != llava.IGNORE
        total += torch.nn.functional.cross_entropy(logits[:-1, :vocab][kept], labels[kept], reduction="sum").item()
        count += int(kept.sum())
    return total / count, count


def compare_loss(want, parts, data, work, bound):
    """parts: the recipe's model section. Returns the relative difference."""
    recipe = work / "loss.yaml"
    recipe.write_text(yaml.safe_dump({
        "model": {part: str(path) for part, path in parts.items()}, "output": str(work / "unused"), "threads": 2,
        "train": {"language": "frozen", "projector": "full", "vision": "frozen"}, "device": "cpu",
        "data": {"sets": [{"path": str(data), "images": str(data.parent)}], "shuffle": False}}))
    found = finer_program.run_json("finer-eval", "loss", recipe)
    gap = abs(found["loss"] - want[0]) / want[0]
    is_good = gap <= bound and found["label_tokens"] == want[1]
    print(f"{'ok' if is_good else 'FAILED'}: loss {found['loss']:.6f} over {found['label_tokens']} tokens, gap {gap:.2e}")
    return gap if found["label_tokens"] == want[1] else float("inf")


def check_shape(root, work, bound):
    data = mixed_set(work, 8, seed=9)
    tokens = work / "tokens.jsonl"
    tokenizer = conversation.load_tokenizer(root / "hf")
    conversation.write_tokens(tokens, [conversation.tokenize(tokenizer, s) for s in conversation.read_samples(data)])
    rows = read_rows(tokens, work, load_processor(root / "hf"))
    model = llava.load(root / "hf")
    reference = reference_logits(model, rows)
    loss = reference_loss(reference, rows, llava.image_positions(model), layouts.VICUNA_VOCAB)
    failed = []
    for name, parts in json.loads((root / "layouts.json").read_text()).items():
        parts = {part: root / path for part, path in parts.items()}
        print(f"{root.name} {name:14s}", end=" ", flush=True)
        try:
            if "llava" in parts:
                arguments = ["--model", parts["llava"]] + (["--vision", parts["vision"]] if "vision" in parts else [])
                gap = compare(reference, finer_logits(arguments, tokens, work), rows, bound, quiet=True)
            else:
                gap = compare_loss(loss, parts, data, work, bound)
        except SystemExit as stop:  # finer's own refusal: the other layouts are still worth knowing
            print(f"FAILED: {stop}")
            gap = float("inf")
        if gap > bound:
            failed.append(f"{root.name}/{name}")
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("--shapes", nargs="+")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--bound", type=float, default=1e-4)
    args = parser.parse_args()
    torch.set_num_threads(2)
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for root in sorted(p.parent for p in args.models.glob("*/layouts.json")):
            if not args.shapes or root.name in args.shapes:
                failed += check_shape(root, args.work or Path(scratch), args.bound)
    print("FAILED: " + ", ".join(failed) if failed else "ok: all layouts")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
