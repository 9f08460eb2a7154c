#!/usr/bin/env python3
"""A run that is killed, stopped, or started with other workers ends in the same bytes as an unbroken one.

    resume.py BIN

recipes/tiny/e2e.yaml over 30 steps with dropout, shuffling and two weighted sets, a checkpoint every 5. The moments of
`kill -9` are drawn anew each time; FINER_E2E_SEED=N repeats those of a run that failed, as far as a clock can."""
import json
import os
import random
import signal
import time

import harness
import shapes_world

SETTINGS = ["optim.steps=30", "batch.samples=24", "batch.device_tokens=1000"]
NUM_KILLS = 6
LOGS = ("events.", "logs", "report.html")  # say when the program ran: they are no part of the result


def steps_of(run):
    """What must not differ between two runs: every line of metrics.jsonl without times and memory."""
    file = run / "metrics.jsonl"
    keys = ("step", "epoch", "loss", "lr", "grad_norm", "samples", "tokens", "label_tokens")
    return [[line[key] for key in keys] for line in map(json.loads, file.read_text().splitlines())] if file.exists() else []


def result_of(run):
    return harness.tree(run / "adapter")


class Resume:
    """Runs are NAME/run: the folder's own name stands in the model card."""

    def __init__(self, test):
        self.test = test
        shapes_world.make(test.work / "runs" / "e2e")
        test.train(*SETTINGS, "output=unbroken/run")
        self.unbroken = test.work / "unbroken" / "run"
        self.steps, self.result = steps_of(self.unbroken), result_of(self.unbroken)
        test.check(len(self.steps) == 30 and "adapter_model.safetensors" in self.result, "the unbroken run is not whole")

    def start(self, output, *more):
        return self.test.start("finer-train", harness.RECIPE, *SETTINGS, f"output={output}/run", *more)

    def finish(self, output, *more):
        return self.test.train(*SETTINGS, f"output={output}/run", *more)

    def compare(self, output, what):
        """The run in `output` against the unbroken one."""
        run = self.test.work / output / "run"
        same = self.test.check(result_of(run) == self.result, f"{what}: RUN/adapter differs from the unbroken run's")
        found = steps_of(run)
        far = [want[0] for want, have in zip(self.steps, found) if want != have]
        self.test.check(found == self.steps, f"{what}: metrics.jsonl: {len(found)} lines, steps {far} differ")
        folders = sorted(p.name for p in (run / "checkpoints").iterdir())
        self.test.check(folders == ["step-25", "step-30"], f"{what}: left in RUN/checkpoints: {folders}")
        names = {p.name for p in run.iterdir() if not p.name.startswith(LOGS)}
        want = {p.name for p in self.unbroken.iterdir() if not p.name.startswith(LOGS)}
        self.test.check(names == want, f"{what}: RUN holds {sorted(names)}, the unbroken run {sorted(want)}")
        return same

    def wait_for(self, process, is_there, timeout_s=60):
        """Until is_there() or the end of the process."""
        until = time.monotonic() + timeout_s
        while process.poll() is None and not is_there():
            if time.monotonic() > until:
                process.kill()
                self.test.check(False, f"nothing happened in {timeout_s} s")
            time.sleep(0.0005)


def killed_at_random(r):
    """One kill while the program starts, the others a little after a step that is drawn."""
    seed = int(os.environ.get("FINER_E2E_SEED", random.SystemRandom().randrange(1 << 30)))
    draw, run, moments, deaths = random.Random(seed), r.test.work / "killed" / "run", [], 0
    targets = sorted(draw.sample(range(1, 29), NUM_KILLS))
    for target in [0, *targets]:
        process = r.start("killed")
        r.wait_for(process, lambda: target == 0 or len(whole_lines(run)) >= target)
        time.sleep(draw.uniform(0, 0.2))
        process.kill()
        process.communicate()
        deaths += process.returncode == -signal.SIGKILL
        moments.append(str(len(whole_lines(run))))
    print(f"kill -9 behind steps {', '.join(moments)} (FINER_E2E_SEED={seed})", flush=True)
    r.finish("killed")
    r.test.check(deaths >= 3, f"only {deaths} of {NUM_KILLS + 1} runs were still there to be killed")
    r.compare("killed", f"killed (FINER_E2E_SEED={seed})")


def whole_lines(run):
    """Whole lines of a metrics.jsonl whose last line may be cut."""
    file = run / "metrics.jsonl"
    return file.read_bytes().split(b"\n")[:-1] if file.exists() else []


def killed_while_writing(r):
    """In the middle of a checkpoint, between its files, and of the removal of an old one."""
    folder = r.test.work / "writing" / "run" / "checkpoints"
    for name, what in (("partial-step-5", "state"), ("partial-step-10", "optimizer.safetensors"), ("step-15", "COMPLETE")):
        process = r.start("writing")
        r.wait_for(process, lambda: (folder / name / what).exists() or (folder / name).exists() and what == "state")
        process.kill()
        process.communicate()
    # what a kill between two removals leaves: a checkpoint that was about to go
    (folder / "step-5").mkdir(exist_ok=True)
    (folder / "step-5" / "state.json").write_text("{")
    r.finish("writing")
    r.compare("writing", "killed while a checkpoint was written")


def stopped(r, number, code):
    name = f"stopped-{code}"
    run = r.test.work / name / "run"
    for steps in (8, 21):
        process = r.start(name)
        r.wait_for(process, lambda: len(whole_lines(run)) >= steps)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        r.test.check(process.returncode == code, f"signal {number}: exit code {process.returncode}, expected {code}\n{err}")
        reached = len(steps_of(run))
        r.test.check(steps <= reached < 30 and (run / "checkpoints" / f"step-{reached}" / "COMPLETE").exists(),
                     f"signal {number}: no checkpoint at the last step, {reached}")
        r.test.check("stopped at step" in err, f"signal {number}: stderr does not say that it stopped\n{err}")
    r.finish(name)
    r.test.check(result_of(run) == r.result and steps_of(run) == r.steps, f"signal {number}: differs from the unbroken run")


def same_bytes(r, output, *more):
    r.finish(output, *more)
    r.compare(output, " ".join(more))


def finished_run(r):
    before = harness.tree(r.unbroken)
    err = r.finish("unbroken")
    after = harness.tree(r.unbroken)
    changed = [p for p in sorted({*before, *after}) if before.get(p) != after.get(p)]
    r.test.check(not changed, f"a finished run that is started again changes {changed}")
    r.test.check("this run is finished" in err and "step 1/" not in err, f"a finished run that is started again does not say so:\n{err}")


def no_workers(r):
    """The loop never reads samples itself: 0 is refused, not taken for 1."""
    code, _, err = r.test.run("finer-train", harness.RECIPE, "data.workers=0", "output=none")
    r.test.check(code == 2 and err.count("\n") == 1 and "data.workers" in err, f"data.workers=0: exit code {code}: {err}")


def never(r):
    r.test.train("output=old/run", "optim.steps=3")
    before = harness.tree(r.test.work / "old" / "run")
    err = r.finish("old", "--resume", "never")
    r.test.check(harness.tree(r.test.work / "old" / "run.before-1") == before,
                 "--resume never: the old run was not moved aside whole")
    r.test.check("run.before-1" in err, f"--resume never does not say where the old run went:\n{err}")
    r.compare("old", "--resume never")


def other_output(r):
    r.finish("elsewhere", "--resume", "killed/run/checkpoints/step-25")
    run = r.test.work / "elsewhere" / "run"
    r.test.check(result_of(run) == r.result and steps_of(run) == r.steps[25:], "--resume DIR into another output differs")


def body(test):
    r = Resume(test)
    killed_at_random(r)
    killed_while_writing(r)
    stopped(r, signal.SIGTERM, 143)
    stopped(r, signal.SIGINT, 130)
    same_bytes(r, "one-worker", "data.workers=1")
    same_bytes(r, "three-workers", "data.workers=3", "data.prefetch_steps=5")
    no_workers(r)
    same_bytes(r, "recomputed", "train.recompute=full")
    other_output(r)
    never(r)
    finished_run(r)


if __name__ == "__main__":
    harness.main(body, __doc__)
