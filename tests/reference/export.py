#!/usr/bin/env python3
"""What finer-export writes, read by transformers and PEFT.

    export.py --model DIR --work DIR [--bound 1e-5]

PEFT writes an adapter whose B is not zero, with the projector. finer-export merges it (merged-hf): transformers' logits
of that are to be PEFT's, and its weights those of PEFT's merge_and_unload. finer-export --format peft writes the adapter
anew: PEFT's logits on it are to stay as they were. In bfloat16 the merged weights are PEFT's, but for ties of rounding.
An original LLaVA and a model in parts become llava-hf: transformers' processor reads them, and logits are as DIR's."""
import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

import conversation
import finer_program
import llava
from layouts import VICUNA_VOCAB
from logits import reference_logits
from peft_run import write_initial_adapter
from pictures import load_processor, pixels_of
from samples import mixed_set

FLAGS = {"llava": "model", "language": "language", "vision": "vision", "projector": "projector"}


def export(out, *arguments):
    shutil.rmtree(out, ignore_errors=True)
    finer_program.run("finer-export", *arguments, "--out", out)
    return out


def gap(want, have):
    return max(((a - b[:, :a.shape[1]]).abs().max() / a.abs().max()).item() for a, b in zip(want, have))


def inputs_by_processor(model_dir, picture):
    """As a user of transformers would ask: text with a mark, and a picture."""
    processor = AutoProcessor.from_pretrained(model_dir, use_fast=False)
    return processor(images=Image.open(picture).convert("RGB"), text="USER: <image>\nWhat is it? ASSISTANT:", return_tensors="pt")


def merged_by_peft(model_dir, adapter, dtype):
    from peft import PeftModel
    base = LlavaForConditionalGeneration.from_pretrained(model_dir, dtype=dtype)
    return PeftModel.from_pretrained(base, adapter).merge_and_unload().state_dict()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bound", type=float, default=1e-5)
    args = parser.parse_args()
    torch.set_num_threads(2)
    args.work.mkdir(parents=True, exist_ok=True)
    adapter = args.work / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    write_initial_adapter(args.model, adapter, projector=True)
    data = mixed_set(args.work / "samples", 6, 5)
    tokenizer, processor = conversation.load_tokenizer(args.model), load_processor(args.model)
    rows = [conversation.tokenize(tokenizer, sample) for sample in conversation.read_samples(data)]
    for row in rows:
        row["pixels"] = pixels_of(data.parent / row["image"], processor) if "image" in row else None
    want = reference_logits(llava.load(args.model, adapter), rows)
    failed = []

    def check(is_good, text):
        print(f"{'ok' if is_good else 'FAILED'}: {text}")
        if not is_good:
            failed.append(text)

    source = ["--model", args.model, "--adapter", adapter]
    merged = export(args.work / "merged", *source, "--format", "merged-hf")
    off = gap(want, reference_logits(llava.load_base(merged), rows))
    check(off < args.bound, f"merged-hf in transformers, against PEFT on the base: {off:.1e}")
    anew = export(args.work / "anew", *source, "--format", "peft")
    off = gap(want, reference_logits(llava.load(args.model, anew), rows))
    check(off < args.bound, f"peft in PEFT, against the adapter that PEFT wrote: {off:.1e}")
    half = export(args.work / "half", *source, "--format", "merged-hf", "--dtype", "bfloat16")
    have = LlavaForConditionalGeneration.from_pretrained(half, dtype="auto").state_dict()
    num_values = num_off = 0
    for name, value in merged_by_peft(args.model, adapter, torch.bfloat16).items():
        if "language_model.layers" in name:
            num_values += value.numel()
            num_off += (value != have[name]).sum().item()
    check(have["lm_head.weight"].dtype == torch.bfloat16, "bfloat16 where it was asked for")
    check(num_values > 0 and num_off < 0.02 * num_values, f"merged in bfloat16: {num_off} of {num_values} values are not PEFT's")
    layouts = json.loads((args.model.parent / "layouts.json").read_text())
    picture = next(data.parent / row["image"] for row in rows if "image" in row)
    base = llava.load(args.model)
    for layout in ("original", "parts"):
        source = [x for key, value in layouts[layout].items() for x in (f"--{FLAGS[key]}", args.model.parent / value)]
        out = export(args.work / layout, *source, "--format", "merged-hf")
        inputs, model = inputs_by_processor(out, picture), llava.load_base(out)
        marks = (inputs["input_ids"] == model.config.image_token_index).sum().item()
        check(marks == llava.image_positions(base), f"{layout} as llava-hf: the processor makes {marks} places for a picture")
        with torch.no_grad():
            want, have = (one(**inputs).logits[0, :, :VICUNA_VOCAB] for one in (base, model))  # rows behind are of no token
        off = gap([want], [have])
        check(off < args.bound, f"{layout} as llava-hf, by transformers' processor: {off:.1e}")
    bare = [x for key, value in layouts["parts"].items() if key != "projector" for x in (f"--{FLAGS[key]}", args.model.parent / value)]
    command = [finer_program.program("finer-export"), *bare, "--format", "merged-hf", "--out", args.work / "bare"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    check(done.returncode == 2 and "--projector" in done.stderr, f"parts without a projector are refused: {done.stderr.strip()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
