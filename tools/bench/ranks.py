"""See tools/bench/ranks."""
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import rank_jobs  # noqa: E402

STEPS = 20
# wide enough that gradients weigh something: 2.8 million values train
SETTINGS = ["lora.dropout=0", "lora.rank=64", "batch.samples=32", "batch.device_tokens=800", "threads=1", f"optim.steps={STEPS}",
            "dist.bucket_mb=1", "model.from_scratch.language.width=512", "model.from_scratch.language.mlp_width=1376",
            "model.from_scratch.language.num_layers=4", "model.from_scratch.language.num_heads=8",
            "model.from_scratch.language.num_kv_heads=8", "checkpoint.every_steps=0"]


class Scratch:
    def __init__(self, bin_folder, work):
        self.bin, self.work = Path(bin_folder).resolve(), Path(work)

    def check(self, is_good, what):
        if not is_good:
            sys.exit(what)


def measure(bin_folder):
    with tempfile.TemporaryDirectory(prefix="finer-bench-ranks-") as work:
        jobs = rank_jobs.Jobs(Scratch(bin_folder, work))
        print(f"{STEPS} steps of 32 samples, a thread a rank, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
              f"{subprocess.run(['git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()}")
        print(f"{'ranks':>5} {'s/step':>8} {'MB/step':>9} {'calls/step':>11} {'sums, s/step':>13} {'waited':>8} {'overlapped':>11}")
        for size in (1, 2, 4):
            name = f"ranks-{size}"
            jobs.done(jobs.start(size, name, settings=SETTINGS), name, 300)
            lines = [json.loads(line) for line in jobs.lines(name)]
            seconds = statistics.median(line["seconds"] for line in lines[3:])
            if size == 1:
                print(f"{size:>5} {seconds:>8.3f} {'-':>9} {'-':>11} {'-':>13} {'-':>8} {'-':>11}")
                continue
            log = (jobs.run_dir(name) / "logs" / "rank-0.log").read_text()
            calls, size_bytes, total, waited = map(float, re.search(
                r"sums of gradients: (\d+) calls, (\d+) bytes, (\S+) s, of which (\S+) s", log).groups())
            print(f"{size:>5} {seconds:>8.3f} {size_bytes / STEPS / 1e6:>9.2f} {calls / STEPS:>11.1f} {total / STEPS:>13.4f} "
                  f"{waited / STEPS:>8.4f} {100 * max(0.0, 1 - waited / total):>10.0f}%")


# The model: LLaVA-1.5-7B, LoRA of rank 128 on all projections of the decoder, projector in full, bfloat16.
LAYERS, WIDTH, MLP, RANK = 32, 4096, 11008, 128
TRAINED = LAYERS * RANK * (4 * 2 * WIDTH + 3 * (WIDTH + MLP)) + (1024 + 1) * WIDTH + (WIDTH + 1) * WIDTH
BASE, HEAD, TOWER = 6.48e9, 32000 * WIDTH, 0.304e9
TOKENS, LABELS = 700, 60          # a sample, 576 of them the picture's
FLOPS = 989e12 * 0.40             # of an H100 at the share of its peak that is assumed
NVLINK, ETHERNET = 300e9, 10e9    # bytes/s of a ring: a GPU's link; a machine's network card, shared by its 8 GPUs
BUCKET, CALL_S, HOP_S, UPDATE_S = 25 * 2**20, 40e-6, 60e-6, TRAINED * 28 / 3.0e12


def imbalance(samples, ranks, draws=200):
    """How much longer the fullest rank computes than the mean: longest first, to the rank with the fewest tokens."""
    draw, over = random.Random(1), []
    for _ in range(draws):
        lengths = sorted((576 + int(min(1400, draw.lognormvariate(4.6, 0.7))) for _ in range(samples)), reverse=True)
        tokens = [0] * ranks
        for length in lengths:
            tokens[tokens.index(min(tokens))] += length
        over.append(max(tokens) * ranks / sum(tokens) - 1)
    return statistics.mean(over)


def step_s(samples, ranks, link):
    """Seconds of a step; samples over all ranks."""
    each = samples / ranks
    work = each * (TOKENS * (4 * BASE + 6 * TRAINED) + LABELS * 4 * HEAD + 577 * 2 * TOWER)
    compute = work / FLOPS * (1 + (imbalance(samples, ranks) if ranks > 1 else 0))
    if ranks == 1:
        return compute + UPDATE_S
    bytes_each = 4 * TRAINED
    sums = 2 * (ranks - 1) / ranks * bytes_each / link + bytes_each / BUCKET * CALL_S
    # the last pass holds at most 16384 tokens; its backward half hides all sums but the last bucket's
    last_pass = min(each * TOKENS, 16384) / (each * TOKENS) * compute
    last_bucket = 2 * (ranks - 1) / ranks * BUCKET / link + CALL_S
    return compute + max(sums - last_pass / 2, last_bucket) + 2 * (ranks - 1) * HOP_S + UPDATE_S


def model():
    print(f"trained {TRAINED / 1e6:.0f} million values, {4 * TRAINED / 1e9:.2f} GB of gradients a step")
    print("| GPUs | samples a step | imbalance | NVLink: s a step | efficiency | 100 Gb/s: s a step | efficiency |")
    print("|---|---|---|---|---|---|---|")
    for ranks in (8, 16, 64):
        for samples in dict.fromkeys((128, 16 * ranks)):
            alone = step_s(samples, 1, NVLINK)
            cells = []
            for link in (NVLINK, ETHERNET):
                taken = step_s(samples, ranks, link)
                cells.append(f"{taken:.3f} | {100 * alone / ranks / taken:.1f} %")
            print(f"| {ranks} | {samples} | {100 * imbalance(samples, ranks):.1f} % | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["--model"]:
        model()
    else:
        measure(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "dev" / "bin")
