"""Driver of vs_peft: runs the two sides in turn and prints medians and ratios."""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

import scenarios
import conversation
import finer_program
import llava

HERE = Path(__file__).resolve().parent
WARM_UP_STEPS = 3


def peak_of(process):
    """Peak resident bytes so far; 0 once it has ended. wait4's ru_maxrss is no use here: what the kernel counts for a process
    includes what this one, with PyTorch in it, had when it started it."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def watch(command, metrics, environment, log):
    """Runs a command; returns (seconds until the first line of metrics, seconds in all, peak resident bytes)."""
    began = time.perf_counter()
    with open(log, "w") as out:
        process = subprocess.Popen([str(x) for x in command], stdout=out, stderr=subprocess.STDOUT, env=environment)
    first, peak = None, 0
    while True:
        peak = max(peak, peak_of(process))
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        if first is None and metrics.exists() and metrics.stat().st_size:
            first = time.perf_counter() - began
        if pid:
            break
        time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {process.returncode}\n{Path(log).read_text()[-2000:]}")
    return first, time.perf_counter() - began, peak


def peft_command(case, run):
    return [sys.executable, "-W", "ignore", HERE / "peft_side.py", "--model", case["model"], "--data", case["data"],
            "--batch", case["batch"], "--steps", case["steps"], "--threads", case["threads"], "--run", run]


def finer_command(case, run):
    recipe = run.parent / "finer.yaml"
    recipe.write_text(yaml.safe_dump({
        "model": {"llava": str(case["model"]), "dtype": "float32"},
        "train": {"language": "lora", "projector": "full", "vision": "frozen"},
        "lora": {"rank": scenarios.RANK, "alpha": scenarios.ALPHA, "dropout": 0.0, "targets": llava.ALL_LINEAR},
        "data": {"sets": [{"path": str(case["data"]), "images": str(case["data"].parent)}],
                 "conversation": "vicuna_v1", "image_aspect": "pad", "max_tokens": 2048, "shuffle": False},
        "batch": {"samples": case["batch"], "device_tokens": 16384},
        "optim": {"lr": scenarios.LR, "schedule": "cosine", "warmup_ratio": scenarios.WARMUP_RATIO,
                  "weight_decay": 0.0, "clip_norm": scenarios.CLIP, "epochs": 1, "steps": case["steps"]},
        "checkpoint": {"every_steps": 0}, "log": {"every_steps": 10, "tensorboard": False},
        "output": str(run), "device": "cpu", "threads": case["threads"], "seed": 0}, sort_keys=False))
    return [finer_program.program("finer-train"), recipe, "--resume", "never"]


SIDES = {"peft": peft_command, "finer": finer_command}


def measure(side, case, work):
    run = work / side
    shutil.rmtree(run, ignore_errors=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(case["threads"]), "TOKENIZERS_PARALLELISM": "false",
                                "CUDA_VISIBLE_DEVICES": ""}
    command = SIDES[side](case, run)
    first, total, peak = watch(command, run / "metrics.jsonl", environment, work / f"{side}.log")
    lines = finer_program.read_metrics(run)
    if len(lines) != case["steps"]:
        sys.exit(f"{side}: {len(lines)} steps in metrics.jsonl, expected {case['steps']}")
    warm = lines[WARM_UP_STEPS:]
    seconds = sum(line["seconds"] for line in warm)
    return {"step_s": statistics.median(line["seconds"] for line in warm),
            "tokens_per_s": sum(line["tokens"] for line in warm) / seconds,
            "start_up_s": first, "total_s": total, "peak_bytes": peak,
            "tokens": [line["tokens"] for line in lines], "losses": [line["loss"] for line in lines],
            "padded": sum(line.get("padded_tokens", line["tokens"]) for line in lines)}


def table(results):
    """results: side -> list of measurements, one a round."""
    rows = [("seconds a step (median)", "step_s", "{:.3f}", 1), ("real tokens a second", "tokens_per_s", "{:.0f}", 1),
            ("peak memory, MB", "peak_bytes", "{:.0f}", 1e6), ("start to first step done, s", "start_up_s", "{:.2f}", 1),
            ("whole run, s", "total_s", "{:.1f}", 1)]
    sides = [side for side in SIDES if side in results]
    print(f"  {'':28s}" + "".join(f"{side:>12s}" for side in sides) + ("   finer is better by" if len(sides) == 2 else ""))
    for title, key, form, unit in rows:
        values = [statistics.median(m[key] for m in results[side]) / unit for side in sides]
        line = f"  {title:28s}" + "".join(f"{form.format(v):>12s}" for v in values)
        if len(sides) == 2:
            ratio = values[0] / values[1]
            line += f"{1 / ratio if key == 'tokens_per_s' else ratio:>20.2f}x"
        print(line)


def compare(results):
    """The two sides have done the same work: same tokens, and losses that start out equal."""
    peft, finer = results["peft"][0], results["finer"][0]
    if peft["tokens"] != finer["tokens"]:
        print("  NOT the same work: tokens a step differ", peft["tokens"][:5], finer["tokens"][:5])
        return 1
    # adapters start at zero, so the first loss is the base's on both sides
    gap = abs(peft["losses"][0] - finer["losses"][0]) / peft["losses"][0]
    print(f"  same tokens in every step; first losses {peft['losses'][0]:.5f} and {finer['losses'][0]:.5f}")
    return 0 if gap < 1e-4 else 1


def main():
    parser = argparse.ArgumentParser(prog="vs_peft")
    parser.add_argument("--scenarios", nargs="+", default=list(scenarios.BATCH), choices=list(scenarios.BATCH))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=list(SIDES))
    parser.add_argument("--work", type=Path, default=finer_program.ROOT / "runs" / "vs_peft")
    parser.add_argument("--json", type=Path, help="all measurements go here")
    args = parser.parse_args()
    if args.steps <= WARM_UP_STEPS:
        parser.error(f"--steps: expected more than the {WARM_UP_STEPS} of the warm-up")
    work = args.work.resolve()
    sides = [args.only] if args.only else list(SIDES)
    everything, is_bad = {}, 0
    for name in args.scenarios:
        model, data = scenarios.prepare(work, name, args.steps)
        case = {"model": model, "data": data, "batch": scenarios.BATCH[name], "steps": args.steps,
                "threads": args.threads}
        print(f"{name}: batch {case['batch']}, {scenarios.describe(scenarios.read(data), conversation.load_tokenizer(model))}"
              f"; {args.steps} steps, {args.threads} threads, median of {args.rounds} rounds")
        results = {side: [] for side in sides}
        for _ in range(args.rounds):
            for side in sides:
                results[side].append(measure(side, case, work / "runs" / name))
        table(results)
        if "peft" in results:
            first = results["peft"][0]
            print(f"  PEFT's batches hold {100 * (1 - sum(first['tokens']) / first['padded']):.0f} % padding")
        if len(sides) == 2:
            is_bad |= compare(results)
        everything[name] = results
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the end"
          + ("" if load < args.threads + 1 else " (others were busy: do not quote these)"))
    if args.json:
        args.json.write_text(json.dumps(everything, indent=1) + "\n")
    return is_bad


if __name__ == "__main__":
    sys.exit(main())
