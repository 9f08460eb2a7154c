#!/usr/bin/env python3
"""Greedy answers of finer-chat against transformers' generate.

    greedy.py --model DIR [--adapter DIR] --prompt TEXT [--max-new-tokens 12] PICTURE..."""
import argparse
import sys
from pathlib import Path

import torch

import conversation
import finer_program
import llava
from pictures import load_processor, pixels_of


def reference_answer(model, tokenizer, processor, picture, prompt, num_tokens):
    sample = {"conversations": [{"from": "human", "value": "<image>\n" + prompt}]}
    ids = conversation.encode(tokenizer, conversation.prompt_of(sample))
    row = {"input_ids": ids, "labels": ids, "pixels": pixels_of(picture, processor)}
    batch, _ = llava.collate([row], llava.image_positions(model))
    out = model.generate(**batch, do_sample=False, max_new_tokens=num_tokens, eos_token_id=tokenizer.eos_token_id,
                         pad_token_id=0)
    return tokenizer.decode(out[0, batch["input_ids"].shape[1]:], skip_special_tokens=True).strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--max-new-tokens", type=int, default=12)
    parser.add_argument("--reference-only", action="store_true")
    parser.add_argument("pictures", nargs="+", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = llava.load(args.model, args.adapter)
    tokenizer, processor = conversation.load_tokenizer(args.model), load_processor(args.model)
    adapter = ["--adapter", args.adapter] if args.adapter else []
    num_off = 0
    for picture in args.pictures:
        want = reference_answer(model, tokenizer, processor, picture, args.prompt, args.max_new_tokens)
        if args.reference_only:
            print(f"{picture.name}: {want!r}")
            continue
        have = finer_program.run("finer-chat", "--model", args.model, *adapter, "--image", picture, "--prompt",
                                 args.prompt, "--max-new-tokens", args.max_new_tokens).strip()
        num_off += have != want
        print(f"{'ok' if have == want else 'FAILED'}: {picture.name}: {have!r}"
              + ("" if have == want else f", expected {want!r}"))
    return 1 if num_off else 0


if __name__ == "__main__":
    sys.exit(main())
