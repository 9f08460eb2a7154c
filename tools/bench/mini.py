"""Driver of mini: the prototype's stages and finer's, in turn."""
import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Prototype:
    """Its own clocks are taken: what they leave out is the start of Python, three times."""

    def __init__(self, script, folder, seed, threads):
        self.command = [sys.executable, str(script), "--seed", str(seed), "--threads", str(threads)]
        self.folder = folder
        folder.mkdir(parents=True)

    def run(self, *arguments):
        done = subprocess.run([*self.command, *arguments], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            sys.exit(f"mini: {' '.join(self.command)}: exit code {done.returncode}\n{done.stdout[-2000:]}")
        return done.stdout

    def seconds_of(self, text, stage):
        return float(re.search(rf"{stage} done in ([\d.]+)s", text)[1])

    def world_and_text(self):
        text = self.run("--save", "1", "--stop", "s0")
        return {"world": float(re.search(r"training pictures ([\d.]+)", text)[1]),
                "text": self.seconds_of(text, "S0_text")}

    def visual(self):
        return {"visual": self.seconds_of(self.run("--start", "s0", "--save", "1", "--stop", "s1"), "S1_caption")}

    def arms_and_evaluation(self):
        text = self.run("--start", "s1", "--save", "1")
        times = ast.literal_eval(re.search(r"TIMES (\{.*\})", text)[1])
        scores = [re.search(rf'{arm} held .*?"fine_{arm}": ([\d.]+)', text)[1] for arm in ("direct", "seek")]
        print(f"  prototype, fine EM on held-out pictures: direct {scores[0]}, ATTR SEEK {scores[1]}")
        return {"direct and attr-seek": times["S2_direct"] + times["S2_seek"],
                "evaluation": sum(times[key] for key in ("eval_base", "eval_direct", "eval_seek"))}


class Finer:
    """The commands of tools/demo, the start of each program included."""

    def __init__(self, folder, seed, layers):
        self.folder = folder
        self.layers = f" model.from_scratch.language.num_layers={layers}" if layers else ""
        folder.mkdir(parents=True)
        binaries = os.environ.get("FINER_BIN", ROOT / "build" / "dev" / "bin")
        self.head = (f"set -euo pipefail; . {ROOT}/tools/mini_stages.sh; steps() {{ :; }}; world_options=(); eval_options=(); "
                     f"seed={seed} bin={binaries} recipes={ROOT}/recipes/mini; ")

    def run(self, stage):
        began = time.perf_counter()
        done = subprocess.run(["bash", "-c", self.head + stage], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            sys.exit(f"mini: {stage}: exit code {done.returncode}\n{done.stdout[-2000:]}")
        return time.perf_counter() - began

    def world_and_text(self):
        return {"world": self.run("make_world"), "text": self.run("on_two_ranks text" + self.layers)}

    def visual(self):
        return {"visual": self.run("on_two_ranks visual")}

    def arms_and_evaluation(self):
        arms = self.run("on_two_ranks direct; on_two_ranks attr-seek")
        no_answer = self.run("on_two_ranks no-answer")
        evaluation = self.run("evaluate eval")
        return {"direct and attr-seek": arms, "evaluation": evaluation, "no-answer": no_answer}


def main():
    parser = argparse.ArgumentParser(prog="mini")
    parser.add_argument("prototype", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of the prototype")
    parser.add_argument("--layers", type=int, help="of finer's decoder; 4 is the prototype's model (recipes/mini: 3)")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench-mini", help="thrown away first")
    args = parser.parse_args()
    if not args.prototype.is_file():
        sys.exit(f"mini: {args.prototype}: no such file; expected the prototype")
    work = args.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    sides = [Prototype(args.prototype.resolve(), work / "prototype", args.seed, args.threads),
             Finer(work / "finer", args.seed, args.layers)]
    seconds = [{}, {}]
    for stage in ("world_and_text", "visual", "arms_and_evaluation"):
        for side, found in zip(sides, seconds):
            found.update(getattr(side, stage)())
        print(f"  {stage.replace('_', ' ')}: done", flush=True)
    print(f"{'stage':22s} {'prototype':>10s} {'finer':>10s} {'ratio':>7s}")
    both = list(seconds[0])
    for stage in both:
        print(f"{stage:22s} {seconds[0][stage]:8.1f} s {seconds[1][stage]:8.1f} s {seconds[0][stage] / seconds[1][stage]:6.2f}x")
    totals = [sum(found[stage] for stage in both) for found in seconds]
    print(f"{'all of these':22s} {totals[0]:8.1f} s {totals[1]:8.1f} s {totals[0] / totals[1]:6.2f}x")
    print(f"finer alone: no-answer {seconds[1]['no-answer']:.1f} s; its evaluation has the linear probe, the controls' answers and report.html")
    print((work / "finer" / "eval" / "table.txt").read_text())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
