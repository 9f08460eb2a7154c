#!/usr/bin/env python3
"""Answers a second on a card: 64 questions about 8 pictures, by finer and by transformers' generate, in turn.

    cuda_generate.py [--size 7b] [--tokens 32] [--work DIR]     (the target generate_side must be built)

Both sides: bfloat16, greedy, equal lengths, SDPA. transformers: one batch padded on the left, ids and pixels ready. finer: once
as it is, once without what prompts share. The model is the one that tools/bench/cuda makes."""
import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import cuda_case
import finer_program

NUM_PICTURES, QUESTIONS_EACH = 8, 8


def make_questions(work, tokens):
    from pictures import draw_picture
    rng, questions = random.Random(5), []
    work.mkdir(parents=True, exist_ok=True)
    for number in range(NUM_PICTURES):
        picture = work / f"{number}.jpg"
        draw_picture(picture, 900 + number, 500, 375)
        for _ in range(QUESTIONS_EACH):
            prompt = " ".join(rng.choice(cuda_case.WORDS) for _ in range(rng.randint(5, 20))) + "?"
            questions.append({"image": str(picture), "prompt": prompt, "tokens": tokens})
    rng.shuffle(questions)
    file = work / "questions.jsonl"
    file.write_text("".join(json.dumps(q) + "\n" for q in questions))
    return file, questions


def by_transformers(model_dir, questions, args):
    import sentencepiece
    import torch
    from transformers import LlavaForConditionalGeneration
    from conversation import SYSTEM
    from llava import image_positions
    from pictures import load_processor, pixels_of
    model = LlavaForConditionalGeneration.from_pretrained(model_dir, dtype=torch.bfloat16, attn_implementation="sdpa",
                                                          device_map={"": args.device}).eval()
    pieces, processor = sentencepiece.SentencePieceProcessor(str(model_dir / "tokenizer.model")), load_processor(model_dir)
    positions = image_positions(model)
    rows = [[1] + pieces.encode(SYSTEM + " USER: ") + [32000] * positions + pieces.encode("\n" + q["prompt"] + " ASSISTANT:")
            for q in questions]
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(r)) + r for r in rows], device=args.device)
    mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in rows], device=args.device)
    pixels = torch.stack([pixels_of(q["image"], processor) for q in questions]).to(args.device, torch.bfloat16)
    seconds = []
    for _ in range(args.rounds + 1):
        began = time.perf_counter()
        with torch.no_grad():
            model.generate(input_ids=ids, attention_mask=mask, pixel_values=pixels, do_sample=False, max_new_tokens=args.tokens,
                           min_new_tokens=args.tokens, pad_token_id=0, eos_token_id=None).cpu()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def by_finer(model_dir, file, reuse, args):
    command = [finer_program.program("generate_side"), model_dir, file, min(16, os.cpu_count()), len(args.questions), reuse, args.device,
               "bfloat16"]
    return json.loads(subprocess.run([str(x) for x in command], check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(prog="cuda_generate")
    parser.add_argument("--size", choices=list(cuda_case.SIZES), default="7b")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", choices=["finer", "transformers"])
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--work", type=Path, default=finer_program.ROOT / "runs" / "bench-cuda")
    args = parser.parse_args()
    model_dir = args.work.resolve() / args.size
    if not (model_dir / "preprocessor_config.json").exists():
        cuda_case.make_model(model_dir, args.size, args.device, args.tokenizer or cuda_case.default_tokenizer())
    file, args.questions = make_questions(args.work.resolve() / "questions", args.tokens)
    new = args.tokens * len(args.questions)
    found = {}
    if args.only != "transformers":
        for name, reuse in (("finer", "reuse"), ("finer, nothing shared", "none")):
            out = by_finer(model_dir, file, reuse, args)
            found[name] = out["seconds"]
            print(f"{name}: {out['seconds']:.3f} s, {out['computed_tokens']} tokens computed, {out['encoded_pictures']} pictures encoded",
                  flush=True)
    if args.only != "finer":
        found["transformers"] = by_transformers(model_dir, args.questions, args)
    print(f"{args.size}, {len(args.questions)} questions about {NUM_PICTURES} pictures, {args.tokens} tokens each")
    base = found.get("transformers")
    for name, seconds in found.items():
        print(f"  {name:24s}{seconds:8.3f} s{len(args.questions) / seconds:9.1f} answers/s{new / seconds:9.0f} tokens/s"
              + (f"{base / seconds:8.2f}x" if base else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
