"""transformers + PEFT's half of the bench `cuda`: one process, one run, a line a step in RUN/metrics.jsonl.

As transformers' Trainer does it with bf16=True: base in bfloat16, adapters and projector in float32 under autocast, SDPA
attention, right padding to the longest of the batch, fused AdamW; samples are tokenised (by finer: the same ids) and pixels made
before the steps that are timed. --checkpointing computes activations again, without it --micro samples go through at a time."""
import argparse
import json
import math
import time
from pathlib import Path

import cuda_case  # also puts tests/reference on the path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--micro", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--device", required=True)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()

    import torch
    from transformers import LlavaForConditionalGeneration, get_cosine_schedule_with_warmup
    import llava
    from pictures import load_processor, pixels_of

    args.run.mkdir(parents=True, exist_ok=True)
    model = LlavaForConditionalGeneration.from_pretrained(args.model, dtype=torch.bfloat16, attn_implementation="sdpa",
                                                          device_map={"": args.device})
    if args.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    model = llava.with_lora(model, cuda_case.RANK, cuda_case.ALPHA)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:  # PEFT does so with adapters, but leaves the projector in bfloat16
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=cuda_case.LR, weight_decay=0.0, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(cuda_case.WARMUP_RATIO * args.steps), args.steps)
    positions, processor = llava.image_positions(model), load_processor(args.model)
    rows = [json.loads(line) for line in args.tokens.read_text().splitlines()]
    of_picture = {}

    def prepare(samples):
        for row in samples:
            if "image" in row and row["image"] not in of_picture:
                of_picture[row["image"]] = pixels_of(args.images / row["image"], processor)
            row["pixels"] = of_picture[row["image"]] if "image" in row else None
        passes = []
        for at in range(0, len(samples), args.micro):
            batch, labels = llava.collate(samples[at:at + args.micro], positions)
            passes.append(({key: value.to(args.device) for key, value in batch.items()}, labels.to(args.device)))
        return passes

    steps = [rows[at:at + args.batch] for at in range(0, args.steps * args.batch, args.batch)]
    ready = [prepare(steps[0])]
    is_cuda = args.device.startswith("cuda")
    with open(args.run / "metrics.jsonl", "w") as metrics:
        for step in range(args.steps):
            if step == 1:
                ready += [prepare(samples) for samples in steps[1:]]
                if is_cuda:
                    torch.cuda.synchronize()
            passes = ready[step]
            began = time.perf_counter()
            targets = sum(int((labels[:, 1:] != llava.IGNORE).sum()) for _, labels in passes)
            total = 0.0
            for batch, labels in passes:
                with torch.autocast(args.device.split(":")[0], dtype=torch.bfloat16):
                    loss = model(**batch, labels=labels, use_cache=False).loss
                loss = loss * (int((labels[:, 1:] != llava.IGNORE).sum()) / targets)
                loss.backward()
                total += loss.item()
            norm = torch.nn.utils.clip_grad_norm_(trained, cuda_case.CLIP).item()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            if is_cuda:
                torch.cuda.synchronize()
            line = {"step": step + 1, "loss": total, "grad_norm": norm, "seconds": time.perf_counter() - began,
                    "tokens": sum(int(batch["attention_mask"].sum()) for batch, _ in passes),
                    "padded_tokens": sum(batch["attention_mask"].numel() for batch, _ in passes),
                    "peak_bytes": torch.cuda.max_memory_allocated() if is_cuda else 0}
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()


if __name__ == "__main__":
    main()
