"""Jobs of several ranks, for ranks.py and ranks_slow.py: starting them as clusters do, and what they must leave."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import harness
import shapes_world

TORCHRUN = harness.ROOT / ".deps" / "libtorch" / "bin" / "torchrun"
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
CLEAN = {k: v for k, v in harness.ENVIRONMENT.items()
         if k not in LAUNCHERS and not k.startswith(("OMPI_", "SLURM_", "TORCHELASTIC_", "PMIX_"))}
# dropout 0: masks are drawn by device pass, so that their draws differ from one number of ranks to another
SETTINGS = ["lora.dropout=0", "batch.samples=24", "threads=1", "optim.steps=30", "dist.timeout_s=6"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Jobs:
    """Programs of one scratch folder. A job is a list of processes, rank after rank, or one launcher."""

    def __init__(self, test):
        self.test = test
        shapes_world.make(test.work / "runs" / "e2e")

    def command(self, output, *more, settings=None, program=None):
        program = program or self.test.bin / "finer-train"
        return [str(program), str(harness.RECIPE), *(SETTINGS if settings is None else settings),
                f"output={output}/run", *map(str, more)]

    def popen(self, command, environment=None, cwd=None):
        return subprocess.Popen(command, cwd=cwd or self.test.work, env={**CLEAN, **(environment or {})}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)

    def start(self, size, *arguments, per_rank=None, address="127.0.0.1", missing=(), wrap=None, **settings):
        """A process a rank, with the variables that a PyTorchJob's pods have. per_rank(rank) -> dict of `more`, `program`,
        `cwd`; wrap(rank) -> words before the command."""
        port, out = free_port(), []
        for rank in range(size):
            if rank in missing:
                continue
            own = per_rank(rank) if per_rank else {}
            command = self.command(*arguments, *own.get("more", ()), program=own.get("program"), **settings)
            out.append(self.popen((wrap(rank) if wrap else []) + command,
                                  {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": address,
                                   "MASTER_PORT": str(port)}, own.get("cwd")))
        return out

    def torchrun(self, size, *arguments, flags=(), **settings):
        return [self.popen([str(TORCHRUN), f"--nproc-per-node={size}", f"--master-port={free_port()}", "--no-python", *flags,
                            *self.command(*arguments, **settings)])]

    def finish(self, job, timeout_s=60):
        """Exit codes and stderr of each process."""
        until, out = time.monotonic() + timeout_s, []
        for process in job:
            try:
                _, err = process.communicate(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                _, err = process.communicate()
                err += f"\n(killed by the test after {timeout_s} s)"
            out.append((process.returncode, err))
        return out

    def done(self, job, what, timeout_s=60):
        """Finishes a job that has to succeed."""
        result = self.finish(job, timeout_s)
        for code, err in result:
            self.test.check(code == 0, f"{what}: exit code {code}\n{err[-3000:]}")
        return result

    def run_dir(self, output):
        return self.test.work / output / "run"

    def forget(self, output, step):
        """A finished run becomes one that was cut off before its last checkpoint, of that step."""
        shutil.rmtree(self.run_dir(output) / "checkpoints" / f"step-{step}")
        (self.run_dir(output) / "FINISHED").unlink()

    def lines(self, output):
        """Whole lines of metrics.jsonl so far."""
        file = self.run_dir(output) / "metrics.jsonl"
        return file.read_bytes().split(b"\n")[:-1] if file.exists() else []

    def losses(self, output):
        return [json.loads(line)["loss"] for line in self.lines(output)]

    def steps(self, output):
        keys = ("step", "epoch", "loss", "lr", "grad_norm", "samples", "tokens", "label_tokens")
        return [[json.loads(line)[key] for key in keys] for line in self.lines(output)]

    def result(self, output):
        return harness.tree(self.run_dir(output) / "adapter")

    def wait_for_step(self, job, output, step, timeout_s=60):
        until = time.monotonic() + timeout_s
        while len(self.lines(output)) < step and any(p.poll() is None for p in job):
            if time.monotonic() > until:
                self.test.check(False, f"step {step} was not reached in {timeout_s} s")
                return
            time.sleep(0.001)

    def same_losses(self, output, reference, what, bound=1e-5):
        found, want = self.losses(output), self.losses(reference)
        gaps = [abs(a - b) / b for a, b in zip(found, want)]
        self.test.check(len(found) == len(want) > 0, f"{what}: {len(found)} steps, expected {len(want)}")
        self.test.check(max(gaps, default=1) <= bound, f"{what}: losses differ by {max(gaps, default=1):.1e} of themselves")
        return max(gaps, default=1)

    def ends_together(self, result, what, code, words, started, within_s):
        """All ranks ended in time, with that code, and one of them told why."""
        took = time.monotonic() - started
        codes = [c for c, _ in result]
        told = [line for _, err in result for line in err.splitlines() if all(word in line for word in words)]
        everything = "\n".join(f"-- {c}: {err[-1500:]}" for c, err in result)
        self.test.check(all(c == code for c in codes if c >= 0), f"{what}: exit codes {codes}, expected {code}\n{everything}")
        self.test.check(len(told) == 1, f"{what}: {len(told)} lines with {words}, expected 1\n{everything}")
        self.test.check(took <= within_s, f"{what}: took {took:.1f} s, bound {within_s} s")
        print(f"{what}: {took:.1f} s: {told[0] if told else ''}", flush=True)


def killed(jobs, count, steps=30):
    """kill -9 of one rank under torchrun with restarts, again and again: final bytes equal an unbroken run's."""
    seed = int(os.environ.get("FINER_E2E_SEED", random.SystemRandom().randrange(1 << 30)))
    draw = random.Random(seed)
    settings = [s for s in SETTINGS if not s.startswith(("lora.dropout", "optim.steps"))] + [f"optim.steps={steps}"]
    jobs.done(jobs.start(2, "unkilled", settings=settings), "the unbroken run")
    job = jobs.torchrun(2, "killed", settings=settings, flags=[f"--max-restarts={count + 2}"])
    moments, targets = [], sorted(draw.sample(range(1, steps - 1), count))
    for target in targets:
        jobs.wait_for_step(job, "killed", target)
        time.sleep(draw.uniform(0, 0.15))
        victims = ranks_below(job[0].pid)
        if not victims:
            continue
        moments.append(len(jobs.lines("killed")))
        try:
            os.kill(draw.choice(victims), signal.SIGKILL)
        except ProcessLookupError:
            moments.pop()
            continue
        wait_until(lambda: not set(victims) & set(ranks_below(job[0].pid)) or job[0].poll() is not None, 40)
    print(f"kill -9 behind steps {moments} (FINER_E2E_SEED={seed})", flush=True)
    jobs.done(job, f"killed (FINER_E2E_SEED={seed})", 60 + 20 * count)
    jobs.test.check(len(moments) >= (count + 1) // 2, f"only {len(moments)} of {count} kills met a rank")
    # the model card holds the run's name, which is `run` in both
    jobs.test.check(jobs.result("killed") == jobs.result("unkilled"), f"killed: RUN/adapter differs (FINER_E2E_SEED={seed})")
    jobs.test.check(jobs.steps("killed") == jobs.steps("unkilled"), f"killed: metrics differ (FINER_E2E_SEED={seed})")


def wait_until(is_so, timeout_s):
    until = time.monotonic() + timeout_s
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)


def ranks_below(pid):
    """finer-train processes that this process has started."""
    out = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = open(f"/proc/{entry}/stat").read()
            name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        except (OSError, ValueError):
            continue
        if name == "finer-train" and int(rest[1]) == pid and rest[0] != "Z":
            out.append(int(entry))
    return sorted(out)


def has(program):
    return shutil.which(program) is not None
