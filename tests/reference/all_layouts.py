#!/usr/bin/env python3
"""Logits of finer over every layout that make_models.py wrote, against the reference of the shape.

    all_layouts.py MODELS [--shapes A B C] [--work DIR] [--bound 1e-4]"""
import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

import conversation
import llava
from logits import compare, finer_logits, read_rows, reference_logits
from pictures import load_processor
from samples import mixed_set


def check_shape(root, work, bound):
    data = mixed_set(work, 8, seed=9)
    tokens = work / "tokens.jsonl"
    tokenizer = conversation.load_tokenizer(root / "hf")
    conversation.write_tokens(tokens, [conversation.tokenize(tokenizer, s) for s in conversation.read_samples(data)])
    rows = read_rows(tokens, work, load_processor(root / "hf"))
    reference = reference_logits(llava.load(root / "hf"), rows)
    failed = []
    for name, parts in json.loads((root / "layouts.json").read_text()).items():
        flags = {"llava": "--model", "language": "--language", "vision": "--vision", "projector": "--projector"}
        arguments = [x for part, path in parts.items() for x in (flags[part], root / path)]
        print(f"{root.name} {name:14s}", end=" ", flush=True)
        if compare(reference, finer_logits(arguments, tokens, work), rows, bound, quiet=True) > bound:
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
