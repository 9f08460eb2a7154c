"""transformers + PEFT's half of vs_peft: one process, one run, a line a step in RUN/metrics.jsonl.

Done the way a careful user of the Python stack would: SDPA attention, right padding to the longest of the batch,
fused AdamW, gradients set to None, no gradient checkpointing, samples tokenised and pixels made before the steps
that are timed (the first step comes before the rest is prepared, so that start-up does not pay for it)."""
import argparse
import json
import math
import time
from pathlib import Path

import scenarios  # also puts tests/reference on the path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()

    import torch
    torch.set_num_threads(args.threads)
    from transformers import get_cosine_schedule_with_warmup
    import conversation
    import llava
    from pictures import load_processor, pixels_of

    args.run.mkdir(parents=True, exist_ok=True)
    tokenizer, processor = conversation.load_tokenizer(args.model), load_processor(args.model)
    model = llava.with_lora(llava.load_base(args.model), scenarios.RANK, scenarios.ALPHA)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=scenarios.LR, weight_decay=0.0, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(scenarios.WARMUP_RATIO * args.steps), args.steps)
    positions = llava.image_positions(model)

    def prepare(samples):
        rows = []
        for sample in samples:
            row = conversation.tokenize(tokenizer, sample)
            row["pixels"] = pixels_of(args.data.parent / sample["image"], processor) if "image" in sample else None
            rows.append(row)
        return llava.collate(rows, positions)

    samples = scenarios.read(args.data)
    groups = [samples[at:at + args.batch] for at in range(0, args.steps * args.batch, args.batch)]
    batches = [prepare(groups[0])]
    with open(args.run / "metrics.jsonl", "w") as metrics:
        for step in range(args.steps):
            if step == 1:
                batches += [prepare(group) for group in groups[1:]]
            batch, labels = batches[step]
            began = time.perf_counter()
            loss = model(**batch, labels=labels, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, scenarios.CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            line = {"step": step + 1, "loss": loss.item(), "seconds": time.perf_counter() - began,
                    "tokens": int(batch["attention_mask"].sum()), "padded_tokens": batch["attention_mask"].numel()}
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()


if __name__ == "__main__":
    main()
