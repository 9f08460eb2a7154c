#!/usr/bin/env python3
"""Greedy answers of finer-chat against transformers' generate, token by token.

    greedy.py --models DIR [--max-new-tokens 64]            shapes A, B and C of make_models.py, text and pictures
    greedy.py --model DIR [--adapter DIR] --prompt TEXT [--prompt TEXT] [--max-new-tokens 12] PICTURE...

Each picture (and no picture, with --text) is one conversation whose turns are the prompts. finer is asked once, in a
conversation over standard input; the reference gets each turn as a prompt of its own, with its own earlier answers."""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch

import conversation
import finer_program
import llava
from pictures import draw_picture, load_processor, pixels_of


def reference_answers(model, tokenizer, processor, picture, prompts, num_tokens):
    """The answers of one conversation, as text. picture: a path or None."""
    turns, answers = [], []
    for number, prompt in enumerate(prompts):
        mark = "<image>\n" if picture and number == 0 else ""
        turns.append({"from": "human", "value": mark + prompt})
        ids = conversation.encode(tokenizer, conversation.prompt_of({"conversations": turns}))
        row = {"input_ids": ids, "labels": ids, "pixels": pixels_of(picture, processor) if picture else None}
        batch, _ = llava.collate([row], llava.image_positions(model))
        with torch.no_grad():
            out = model.generate(**batch, do_sample=False, max_new_tokens=num_tokens,
                                 eos_token_id=tokenizer.eos_token_id, pad_token_id=0)
        ids = out[0, batch["input_ids"].shape[1]:].tolist()  # rows that pad the embedding have no text
        answer = tokenizer.decode([i for i in ids if i < len(tokenizer)], skip_special_tokens=True).strip()
        answers.append(answer)
        turns.append({"from": "gpt", "value": answer})
    return answers


def finer_answers(arguments, picture, prompts, num_tokens):
    """One run of finer-chat: the conversation comes by standard input. Random models write line breaks into their
    answers, so the answers come back as one text."""
    image = ["--image", picture] if picture else []
    command = [finer_program.program("finer-chat"), *map(str, [*arguments, *image, "--max-new-tokens", num_tokens])]
    done = subprocess.run(command, input="".join(p + "\n" for p in prompts).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode or done.stderr:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr.decode()}")
    return done.stdout.decode()  # as bytes: text mode would make line ends of what is none


def compare(model, model_dir, arguments, pictures, prompts, num_tokens):
    """Returns the number of conversations that differ."""
    tokenizer, processor = conversation.load_tokenizer(model_dir), load_processor(model_dir)
    num_off = 0
    for picture in pictures:
        want = "".join(a + "\n" for a in reference_answers(model, tokenizer, processor, picture, prompts, num_tokens))
        have = finer_answers(arguments, picture, prompts, num_tokens)
        num_off += have != want
        print(f"{'ok' if have == want else 'FAILED'}: {picture.name if picture else 'no picture'}: "
              f"{len(prompts)} turns, {len(want)} characters" + ("" if have == want else f": {have!r}, expected {want!r}"))
    return num_off


def random_models(models, num_tokens):
    num_off = 0
    pictures = [models / f"greedy-{number}.png" for number in range(2)]
    for number, picture in enumerate(pictures):
        draw_picture(picture, 70 + number, 90 + 31 * number, 80)
    for shape in sorted(p.name for p in models.iterdir() if (p / "layouts.json").exists()):
        root = models / shape
        layouts = json.loads((root / "layouts.json").read_text())
        layout = "hf" if "hf" in layouts else "parts"
        flag = {"llava": "--model", "language": "--language", "vision": "--vision", "projector": "--projector"}
        arguments = [x for key, value in layouts[layout].items() for x in (flag[key], root / value)]
        print(f"{shape}, {layout}:")
        num_off += compare(llava.load(root / "hf"), root / "hf", arguments, [*pictures, None],
                           ["What is this?", "Which colours does it have?"], num_tokens)
    return num_off


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, help="what make_models.py wrote")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--prompt", action="append", default=[])
    parser.add_argument("--text", action="store_true", help="also a conversation without a picture")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("pictures", nargs="*", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(2)
    if args.models:
        return 1 if random_models(args.models, args.max_new_tokens) else 0
    if not args.model or not args.prompt:
        parser.error("--models, or --model and --prompt")
    adapter = ["--adapter", args.adapter] if args.adapter else []
    pictures = args.pictures + ([None] if args.text else [])
    return 1 if compare(llava.load(args.model, args.adapter), args.model, ["--model", args.model, *adapter], pictures,
                        args.prompt, args.max_new_tokens) else 0


if __name__ == "__main__":
    sys.exit(main())
