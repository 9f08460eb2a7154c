#!/usr/bin/env python3
"""Logits of finer against transformers (and PEFT), sample by sample.

    logits.py --reference DIR --tokens tokens.jsonl --images DIR [--adapter DIR] [--bound 1e-4]
              [--model DIR] [--vision DIR]

--reference is read by transformers; --model, with --vision for an original LLaVA directory, is what finer-eval is
pointed at (default: the same directory).
Prints max |difference| / max |logit| of each sample; exit code 1 when one is above the bound.
--reference-only OUT.safetensors writes the reference's logits and runs nothing else."""
import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import finer_program
import llava
from pictures import load_processor, pixels_of


def read_rows(tokens, images, processor, aspect="pad"):
    rows = [json.loads(line) for line in Path(tokens).read_text().splitlines() if line]
    for row in rows:
        row["pixels"] = pixels_of(Path(images) / row["image"], processor, aspect) if "image" in row else None
    return rows


def reference_logits(model, rows):
    """[T, V] of each sample, alone in its batch: no padding can matter."""
    positions = llava.image_positions(model)
    out = []
    with torch.no_grad():
        for row in rows:
            batch, _ = llava.collate([row], positions)
            out.append(model(**batch, use_cache=False).logits[0])
    return out


def finer_logits(arguments, tokens, images, aspect="pad"):
    """arguments: what comes before --tokens, for example ["--model", DIR]."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "logits.safetensors"
        extra = [] if aspect == "pad" else ["--aspect", aspect]
        finer_program.run("finer-eval", "logits", *arguments, "--tokens", tokens, "--images", images,
                          "--out", file, *extra)
        found = load_file(str(file))
    return [found[f"logits.{n}"] for n in range(len(found))]


def compare(reference, found, rows, bound, quiet=False):
    """Prints a line a sample; returns the largest relative difference."""
    if len(reference) != len(found):
        sys.exit(f"finer wrote {len(found)} samples, expected {len(reference)}")
    worst = 0.0
    for number, (want, have, row) in enumerate(zip(reference, found, rows)):
        columns = min(want.shape[1], have.shape[1])  # original layouts lack the rows that llava-hf adds
        if want.shape[0] != have.shape[0]:
            sys.exit(f"sample {number}: finer has {have.shape[0]} positions, expected {want.shape[0]}")
        largest = want[:, :columns].abs().max().item()
        gap = (want[:, :columns] - have[:, :columns]).abs().max().item() / largest
        gap = gap if gap == gap else float("inf")
        worst = max(worst, gap)
        if not quiet:
            kind = "picture" if "image" in row else "text"
            same = (want[:, :columns].argmax(1) == have[:, :columns].argmax(1)).float().mean().item()
            print(f"{number:3d} {kind:7s} {want.shape[0]:4d} positions  largest {largest:6.2f}  "
                  f"gap {gap:.2e}  same best token {100 * same:.1f} %")
    print(f"{'ok' if worst <= bound else 'FAILED'}: worst gap {worst:.2e}, bound {bound:.0e}")
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--aspect", choices=["pad", "crop"], default="pad")
    parser.add_argument("--bound", type=float, default=1e-4)
    for name in ("model", "vision"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--reference-only", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(2)

    rows = read_rows(args.tokens, args.images, load_processor(args.reference), args.aspect)
    reference = reference_logits(llava.load(args.reference, args.adapter), rows)
    if args.reference_only:
        save_file({f"logits.{n}": t.contiguous() for n, t in enumerate(reference)}, str(args.reference_only))
        print(f"{len(reference)} samples, largest logit {max(t.abs().max().item() for t in reference):.2f}")
        return 0
    arguments = [x for name in ("model", "vision", "adapter")
                 if getattr(args, name) for x in (f"--{name}", getattr(args, name))]
    if not args.model:
        arguments = ["--model", args.reference, *arguments]
    worst = compare(reference, finer_logits(arguments, args.tokens, args.images, args.aspect), rows, args.bound)
    return 0 if worst <= args.bound else 1


if __name__ == "__main__":
    sys.exit(main())
