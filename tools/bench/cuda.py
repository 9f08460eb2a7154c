"""Driver of the bench `cuda`: LoRA of LLaVA-1.5's sizes on one card, finer-train and transformers + PEFT in turn."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cuda_case
import finer_program

HERE = Path(__file__).resolve().parent
WARM_UP_STEPS = 10  # until every product has its kernel, on both sides

# name: what differs. device_tokens and micro bound a pass; recompute and checkpointing trade time for memory.
FIXED, GROWING = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"}, {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
FINER = {"finer": dict(), "finer-recompute": dict(device_tokens=16384, recompute="full"),
         "finer-unshared": dict(shares=False), "finer-fixed-segments": dict(environment=FIXED)}
PEFT = {"PEFT": dict(micro=4, checkpointing=False), "PEFT-checkpointing": dict(micro=16, checkpointing=True),
        "PEFT-growing-segments": dict(micro=4, checkpointing=False, environment=GROWING)}


def finer_command(case, args, run, device_tokens=8192, recompute="none", shares=True):
    recipe = run.with_suffix(".yaml")  # JSON is YAML
    recipe.write_text(json.dumps({
        "model": {"llava": str(case["model"]), "dtype": "bfloat16"},
        "train": {"language": "lora", "projector": "full", "vision": "frozen", "recompute": recompute},
        "lora": {"rank": cuda_case.RANK, "alpha": cuda_case.ALPHA, "dropout": 0.0},
        "data": {"sets": [{"path": str(case["samples"]), "images": str(case["samples"].parent)}], "max_tokens": 2048,
                 "shuffle": False, "workers": max(2, min(16, os.cpu_count() - 1))},
        "batch": {"samples": args.batch, "device_tokens": device_tokens, "share_prefix": shares},
        "optim": {"lr": cuda_case.LR, "schedule": "cosine", "warmup_ratio": cuda_case.WARMUP_RATIO, "clip_norm": cuda_case.CLIP,
                  "epochs": 1, "steps": args.steps},
        **({"log": {"profile_step": args.profile}} if args.profile else {}), "checkpoint": {"every_steps": 0},
        "output": str(run), "device": args.device, "seed": 0}))
    return [finer_program.program("finer-train"), recipe, "--resume", "never"]


def peft_command(case, args, run, micro, checkpointing):
    command = [sys.executable, "-W", "ignore", HERE / "cuda_peft_side.py", "--model", case["model"], "--tokens", case["tokens"],
               "--images", case["samples"].parent, "--batch", args.batch, "--micro", min(micro, args.batch), "--steps", args.steps,
               "--device", args.device, "--run", run]
    return command + (["--checkpointing"] if checkpointing else [])


def measure(name, command, environment, run, args):
    """Runs a side; None where it fails, which is said."""
    shutil.rmtree(run, ignore_errors=True)
    began, first = time.perf_counter(), None
    metrics, log = run / "metrics.jsonl", run.with_suffix(".log")
    with open(log, "w") as out:
        process = subprocess.Popen([str(x) for x in command], stdout=out, stderr=subprocess.STDOUT, env=os.environ | environment)
        while process.poll() is None:
            if first is None and metrics.exists() and metrics.stat().st_size:
                first = time.perf_counter() - began
            if time.perf_counter() - began > args.limit_s:
                process.kill()
            time.sleep(0.01)
    if process.returncode:
        print(f"{name}: exit code {process.returncode}: {log.read_text()[-600:]}", flush=True)
        return None
    lines = finer_program.read_metrics(run)
    warm = [line for line in lines[WARM_UP_STEPS:] if line["step"] != args.profile]
    seconds = sum(line["seconds"] for line in warm)
    return {"step_s": statistics.median(line["seconds"] for line in warm), "tokens_per_s": sum(line["tokens"] for line in warm) / seconds,
            "peak_gb": max(line["peak_bytes"] for line in lines) / 1e9, "first_s": first, "total_s": time.perf_counter() - began,
            "tokens": [line["tokens"] for line in lines], "losses": [line["loss"] for line in lines],
            "seconds": [line["seconds"] for line in lines], "wait_s": [line.get("data_wait", 0) for line in lines],
            "norms": [line["grad_norm"] for line in lines],
            "padding": 1 - sum(line["tokens"] for line in lines) / sum(line.get("padded_tokens", line["tokens"]) for line in lines)}


def frozen_parameters(size):
    _, text = cuda_case.SIZES[size]
    width, mlp = text["hidden_size"], text["intermediate_size"]
    return text["num_hidden_layers"] * (4 * width * width + 3 * width * mlp)


def table(results, size):
    print(f"{'':24s}{'step s':>9s}{'tokens/s':>10s}{'TFLOP/s':>9s}{'peak GB':>9s}{'first s':>9s}{'run s':>8s}{'padding':>9s}{'loss 1':>10s}"
          f"{'last':>10s}")
    for name, found in results.items():
        if not found:
            continue
        middle = {key: statistics.median(m[key] for m in found) for key in ("step_s", "tokens_per_s", "peak_gb", "first_s", "total_s")}
        rate = middle["tokens_per_s"] * 4 * frozen_parameters(size) / 1e12  # forward and backward of what is frozen, once
        print(f"{name:24s}{middle['step_s']:9.3f}{middle['tokens_per_s']:10.0f}{rate:9.1f}{middle['peak_gb']:9.2f}"
              f"{middle['first_s']:9.1f}{middle['total_s']:8.1f}{100 * found[0]['padding']:8.0f}%{found[0]['losses'][0]:10.5f}"
              f"{found[0]['losses'][-1]:10.5f}")


def main():
    parser = argparse.ArgumentParser(prog="cuda")
    parser.add_argument("--size", choices=list(cuda_case.SIZES), default="7b")
    parser.add_argument("--only", nargs="+", choices=list(FINER | PEFT), default=["finer", "finer-recompute", "PEFT", "PEFT-checkpointing"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--profile", type=int, default=0, help="this step of finer's runs is profiled and not counted")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit-s", type=float, default=300, help="of one run")
    parser.add_argument("--tokenizer", type=Path, help="a SentencePiece model of 32,000 pieces; default: mistral-common's")
    parser.add_argument("--work", type=Path, default=finer_program.ROOT / "runs" / "bench-cuda")
    parser.add_argument("--json", type=Path, help="all measurements go here")
    args = parser.parse_args()
    if args.steps <= WARM_UP_STEPS:
        parser.error(f"--steps: expected more than the {WARM_UP_STEPS} of the warm-up")
    case = {"model": args.work.resolve() / args.size}
    tokenizer = args.tokenizer or cuda_case.default_tokenizer()
    began = time.perf_counter()
    if not (case["model"] / "preprocessor_config.json").exists():
        # in a process of its own, so that the card is empty afterwards
        subprocess.run([sys.executable, "-W", "ignore", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import cuda_case\n"
                        "from pathlib import Path; cuda_case.make_model(Path(sys.argv[2]), *sys.argv[3:])",
                        HERE, case["model"], args.size, args.device, tokenizer], check=True)
    case["samples"] = cuda_case.make_samples(args.work.resolve() / f"data-{args.steps * args.batch}", args.steps * args.batch)
    case["tokens"] = case["samples"].with_name("tokens.jsonl")
    finer_program.run("finer-data", "tokenize", "--tokenizer", tokenizer, "--conversation", "vicuna_v1", "--in", case["samples"],
                      "--out", case["tokens"])
    import torch
    import transformers
    card = torch.cuda.get_device_name() if args.device.startswith("cuda") else "CPU"
    print(f"{args.size}, batch {args.batch}, {args.steps} steps, LoRA rank {cuda_case.RANK} and projector, bfloat16; {card}, torch "
          f"{torch.__version__}, transformers {transformers.__version__}; made in {time.perf_counter() - began:.0f} s", flush=True)
    results = {name: [] for name in args.only}
    for number in range(args.rounds):
        for name in args.only:
            run = args.work.resolve() / "runs" / f"{name}-{number}"
            command = finer_command if name in FINER else peft_command
            run.parent.mkdir(parents=True, exist_ok=True)
            settings = dict((FINER | PEFT)[name])
            environment = settings.pop("environment", {})
            found = measure(name, command(case, args, run, **settings), environment, run, args)
            if found:
                results[name].append(found)
                print(f"{name}: {found['step_s']:.3f} s a step, {found['peak_gb']:.1f} GB", flush=True)
    table(results, args.size)
    done = [found[0] for found in results.values() if found]
    if any(found["tokens"] != done[0]["tokens"] for found in done):
        print("NOT the same work: tokens a step differ")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
