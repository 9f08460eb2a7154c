#!/usr/bin/env python3
"""What the encoder sees: finer-data pixels against PIL + CLIPImageProcessor, on any pictures.

    pixels.py --model DIR [--aspect pad|crop] PICTURE...

Prints the largest difference in 8-bit steps; 0 is the goal, 1 the bound."""
import argparse
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import finer_program
from pictures import load_processor, pixels_of


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--aspect", choices=["pad", "crop"], default="pad")
    parser.add_argument("pictures", nargs="+", type=Path)
    args = parser.parse_args()
    processor = load_processor(args.model)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels.safetensors"
        finer_program.run("finer-data", "pixels", "--model", args.model, "--aspect", args.aspect, "--out", file,
                          *args.pictures)
        found = load_file(str(file))
    std = torch.tensor(processor.image_std).view(3, 1, 1)
    worst, num_off = 0.0, 0
    for number, path in enumerate(args.pictures):
        want, have = pixels_of(path, processor, args.aspect), found[f"pixels.{number}"]
        if want.shape != have.shape:
            sys.exit(f"{path}: finer has {tuple(have.shape)}, expected {tuple(want.shape)}")
        steps = ((want - have).abs() * std * 255).max().item()
        if steps > 1e-3:
            num_off += 1
            print(f"{path}: off by {steps:.3f}/255")
        worst = max(worst, steps)
    print(f"{'ok' if worst <= 1.001 else 'FAILED'}: {len(args.pictures)} pictures, {args.aspect}: "
          f"{num_off} differ, at most {worst:.3f}/255")
    return 0 if worst <= 1.001 else 1


if __name__ == "__main__":
    sys.exit(main())
