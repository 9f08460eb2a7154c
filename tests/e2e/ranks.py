#!/usr/bin/env python3
"""recipes/tiny/e2e.yaml on several ranks over Gloo: the same losses, the same bytes, one line when something goes wrong.

    ranks.py BIN

What needs a launcher that is not installed is left out, and said so. ranks_slow.py has what takes minutes."""
import json
import os
import random
import signal
import time

import harness
import rank_jobs
from rank_jobs import SETTINGS, has

TEN = [*SETTINGS[:3], "optim.steps=10", "dist.timeout_s=6"]
LONG = [*SETTINGS[:3], "optim.steps=100000", "dist.timeout_s=6", "checkpoint.every_steps=20"]


def counts(jobs):
    """1, 2, 3 and 4 ranks over 30 steps."""
    jobs.done(jobs.start(1, "one"), "1 rank")
    jobs.done(jobs.torchrun(2, "two") if has(str(rank_jobs.TORCHRUN)) else jobs.start(2, "two"), "2 ranks")
    jobs.done(jobs.start(3, "three"), "3 ranks")
    jobs.done(jobs.torchrun(4, "four") if has(str(rank_jobs.TORCHRUN)) else jobs.start(4, "four"), "4 ranks")
    for name in ("two", "three", "four"):
        gap = jobs.same_losses(name, "one", f"{name} ranks")
        print(f"{name} ranks: losses of 30 steps within {gap:.1e} of one rank's", flush=True)
    logs = sorted(p.name for p in (jobs.run_dir("four") / "logs").iterdir())
    jobs.test.check(logs == [f"rank-{r}.log" for r in range(4)], f"RUN/logs holds {logs}")
    samples = [[s[5], s[6], s[7]] for s in jobs.steps("one")]
    jobs.test.check([[s[5], s[6], s[7]] for s in jobs.steps("three")] == samples, "3 ranks count other samples or tokens")


def same_bytes(jobs):
    """With dropout: the same number of ranks repeats itself to the bit."""
    settings = [s for s in SETTINGS if not s.startswith("lora.dropout")]
    for name in ("first", "second"):
        jobs.done(jobs.start(2, name, settings=settings), name)
    jobs.test.check(jobs.result("first") == jobs.result("second"), "2 ranks twice: RUN/adapter differs")
    jobs.test.check(jobs.steps("first") == jobs.steps("second"), "2 ranks twice: metrics differ")


def other_count(jobs):
    """A checkpoint of 2 ranks goes on on 3, and one of 3 on 1."""
    jobs.done(jobs.start(2, "across", settings=[*SETTINGS[:3], "dist.timeout_s=6", "optim.steps=30"], per_rank=None), "2 ranks")
    jobs.forget("across", 30)
    jobs.done(jobs.start(3, "across"), "2 -> 3 ranks")
    gap = jobs.same_losses("across", "one", "2 -> 3 ranks across a checkpoint")
    print(f"2 -> 3 ranks at step 25: losses within {gap:.1e}", flush=True)
    jobs.forget("across", 30)
    jobs.done(jobs.start(1, "across"), "3 -> 1 rank")
    jobs.same_losses("across", "one", "3 -> 1 rank across a checkpoint")


def few_samples(jobs):
    """Ranks without a picture, and without a sample."""
    settings = ["lora.dropout=0", "batch.samples=2", "threads=1", "optim.steps=12", "dist.timeout_s=6"]
    jobs.done(jobs.start(1, "few-1", settings=settings), "2 samples a step, 1 rank")
    jobs.done(jobs.start(3, "few-3", settings=settings), "2 samples a step, 3 ranks")
    jobs.same_losses("few-3", "few-1", "2 samples a step on 3 ranks")
    staggered = [*settings, "load.stagger=true", "train.recompute=full", "dist.bucket_mb=1", "loss.norm=micro_batch"]
    jobs.done(jobs.start(1, "mean-1", settings=[*staggered, "batch.device_tokens=1"]), "a sample a pass, 1 rank")
    jobs.done(jobs.start(3, "mean-3", settings=[*staggered, "batch.device_tokens=1"]), "a sample a pass, 3 ranks")
    jobs.same_losses("mean-3", "mean-1", "means of passes on 3 ranks, staggered loading, recompute")


def grouped(jobs):
    """data.picture_group: what is computed once changes no loss, on any number of ranks, and across a checkpoint."""
    data = jobs.test.work / "runs" / "e2e"
    questions = (("<image>\nWhat is shown in this image?", lambda answer: answer), ("What do you see?\n<image>", lambda answer: answer),
                 ("<image>\nWhat is shown in this image?", lambda answer: answer.replace("A ", "It is a ")))
    records = json.loads((data / "names.json").read_text())
    with open(data / "several.jsonl", "w") as file:
        for question, answer in questions:  # a picture's records are far from each other
            for record in records[:20]:
                text = answer(record["conversations"][1]["value"])
                file.write(json.dumps({"image": record["image"], "conversations": rank_jobs.shapes_world.turns(question, text)}) + "\n")
    settings = ["lora.dropout=0", "batch.samples=18", "batch.device_tokens=250", "threads=1", "optim.steps=10", "dist.timeout_s=6",
                "data.sets.0.path=runs/e2e/several.jsonl", "data.picture_group=3"]
    jobs.done(jobs.start(1, "apart", settings=[*settings, "batch.share_prefix=false"]), "groups, nothing shared")
    for count in (1, 3):
        jobs.done(jobs.start(count, f"grouped-{count}", settings=settings), f"groups on {count} ranks")
        gap = jobs.same_losses(f"grouped-{count}", "apart", f"groups on {count} ranks")
        print(f"groups of a picture on {count} ranks: losses within {gap:.1e}", flush=True)
    jobs.forget("grouped-3", 10)
    jobs.done(jobs.start(2, "grouped-3", settings=settings), "groups, 3 -> 2 ranks")
    jobs.same_losses("grouped-3", "apart", "groups, 3 -> 2 ranks across a checkpoint")


def muon(jobs):
    """optim.matrices=muon: ranks that share out the update make the one of one rank; a checkpoint goes on on another number."""
    settings = ["lora.dropout=0", "train.vision=full", "optim.matrices=muon", "batch.samples=8", "threads=1", "optim.steps=10", "dist.timeout_s=6"]
    for count in (1, 3):
        jobs.done(jobs.start(count, f"muon-{count}", settings=settings), f"Muon on {count} ranks")
    gap = jobs.same_losses("muon-3", "muon-1", "Muon on 3 ranks")
    print(f"Muon on 3 ranks: losses within {gap:.1e}", flush=True)
    log = (jobs.run_dir("muon-1") / "logs" / "rank-0.log").read_text()
    jobs.test.check(log.count(", by Muon ") == 2, f"the log does not say what Muon updates: {log[:500]}")
    jobs.forget("muon-3", 10)
    jobs.done(jobs.start(2, "muon-3", settings=settings), "Muon, 3 -> 2 ranks")
    jobs.same_losses("muon-3", "muon-1", "Muon, 3 -> 2 ranks across a checkpoint")


def measured(jobs):
    """eval: of a training recipe: 3 ranks share the held-out conversations and measure what one does."""
    settings = ["lora.dropout=0", "batch.samples=6", "threads=1", "optim.steps=6", "dist.timeout_s=6",
                "eval={every_steps: 3, loss_data: runs/e2e/names.json, loss_images: runs/e2e/pictures, limit: 10}"]
    losses = {}
    for count in (1, 3):
        name = f"measured-{count}"
        jobs.done(jobs.start(count, name, settings=settings), f"eval: on {count} ranks")
        lines = (jobs.run_dir(name) / "eval.jsonl").read_text().splitlines()
        losses[count] = [json.loads(line)["loss"] for line in lines]
    jobs.test.check(len(losses[1]) == 2 and all(abs(a - b) <= 1e-5 * b for a, b in zip(losses[3], losses[1], strict=True)),
                    f"eval: on 3 ranks measures {losses[3]}, on one {losses[1]}")


def disagree(jobs):
    """Another recipe, another data file, another finer: refused before step 0, and told."""
    started = time.monotonic()
    job = jobs.start(2, "differ", per_rank=lambda rank: {"more": ["optim.lr=4e-3"] if rank else []}, settings=TEN)
    jobs.ends_together(jobs.finish(job), "another recipe", 2,
                       ["rank 1 (", "differs from rank 0", 'recipe: it has "optim: lr: 0.004", rank 0 "optim: lr: 0.005"'],
                       started, 6)
    other = jobs.test.work / "other"
    rank_jobs.shapes_world.make(other / "runs" / "e2e")
    names = other / "runs" / "e2e" / "names.json"
    names.write_text(names.read_text().replace("A red disc.", "A red dish."))
    started = time.monotonic()
    job = jobs.start(2, "differ", per_rank=lambda rank: {"cwd": other} if rank else {}, settings=TEN)
    jobs.ends_together(jobs.finish(job), "another data file", 2,
                       ["rank 1 (", "differs from rank 0", "data: it has", "names.json of hash"], started, 6)
    program, copy = jobs.test.bin / "finer-train", jobs.test.work / "finer-train"
    _, version, _ = jobs.test.run("finer-train", "--version")
    commit = version.split("commit ")[1].split(",")[0].encode()
    copy.write_bytes(program.read_bytes().replace(commit, b"f" * len(commit)))
    copy.chmod(0o755)
    started = time.monotonic()
    job = jobs.start(2, "differ", per_rank=lambda rank: {"program": copy} if rank else {}, settings=TEN)
    jobs.ends_together(jobs.finish(job), "another version", 2,
                       ["rank 1 (", "finer version: it has", f"({'f' * len(commit)})", f"({commit.decode()})"], started, 6)
    jobs.test.check(not (jobs.run_dir("differ") / "metrics.jsonl").exists(), "a step was taken by ranks that differ")


def broken_sample(jobs):
    """A record without an answer on one rank's share: a checkpoint of the steps before it, one line."""
    other = jobs.test.work / "broken"
    rank_jobs.shapes_world.make(other / "runs" / "e2e")
    talk = other / "runs" / "e2e" / "talk.jsonl"
    talk.write_text(talk.read_text().replace("Orange, green, purple.", ""))
    started = time.monotonic()
    job = jobs.start(2, "broken", per_rank=lambda rank: {"cwd": other}, settings=[*SETTINGS[:1], "batch.samples=4", "threads=1",
                     "optim.steps=30", "dist.timeout_s=6"])
    jobs.ends_together(jobs.finish(job), "a broken record", 2, ["rank ", "talk.jsonl", "is empty"], started, 8)
    run = other / "broken" / "run"
    steps = len((run / "metrics.jsonl").read_text().splitlines())
    jobs.test.check(steps > 0 and (run / "checkpoints" / f"step-{steps}" / "COMPLETE").exists(),
                    f"{steps} steps before the broken record, without their checkpoint")


def lost_rank(jobs):
    """A rank that is killed, and one that is stopped and so silent, end the job in time."""
    job = jobs.start(3, "lost", settings=LONG)
    jobs.wait_for_step(job, "lost", 3)
    started = time.monotonic()
    os.kill(job[1].pid, signal.SIGKILL)
    jobs.ends_together(jobs.finish(job), "kill -9 of rank 1 of 3", 1, ["rank 1 (", "has given no sign", "waited for it in: step"],
                       started, 6)
    job = jobs.start(3, "silent", settings=LONG)
    jobs.wait_for_step(job, "silent", 3)
    started = time.monotonic()
    os.kill(job[2].pid, signal.SIGSTOP)
    result = jobs.finish(job[:2])
    jobs.ends_together(result, "rank 2 of 3 stopped", 1, ["rank 2 (", "has given no sign", "waited for it in: step"], started, 7)
    os.kill(job[2].pid, signal.SIGKILL)
    jobs.finish(job[2:])
    job = jobs.start(2, "holder", settings=LONG)
    jobs.wait_for_step(job, "holder", 3)
    started = time.monotonic()
    os.kill(job[0].pid, signal.SIGKILL)  # it holds the store
    jobs.ends_together(jobs.finish(job), "kill -9 of rank 0", 1, ["rank 0", "job's store"], started, 7)


def missing_rank(jobs):
    started = time.monotonic()
    job = jobs.start(3, "missing", missing=(2,), settings=TEN)
    jobs.ends_together(jobs.finish(job), "rank 2 of 3 never starts", 2, ["rank 2 did not come to"], started, 9)


def stopped(jobs):
    """SIGTERM to one rank: all stop at the same step, and save; the run goes on to the bytes of an unbroken one."""
    job = jobs.start(2, "stopped")
    jobs.wait_for_step(job, "stopped", 4)
    job[1].send_signal(signal.SIGTERM)
    result = jobs.finish(job)
    codes = [code for code, _ in result]
    jobs.test.check(codes == [143, 143], f"SIGTERM to one of 2 ranks: exit codes {codes}, expected 143\n{result}")
    reached = len(jobs.lines("stopped"))
    jobs.test.check((jobs.run_dir("stopped") / "checkpoints" / f"step-{reached}" / "COMPLETE").exists() and reached < 30,
                    f"SIGTERM: no checkpoint at the last step, {reached}")
    jobs.done(jobs.start(2, "stopped"), "after SIGTERM")
    jobs.test.check(jobs.steps("stopped") == jobs.steps("two"), "after SIGTERM: steps differ from an unbroken run's")
    jobs.test.check(jobs.result("stopped") == jobs.result("two"), "after SIGTERM: RUN/adapter differs from an unbroken run's")


def own_launcher(jobs):
    """finer-train --ranks: the bytes of other launchers; signals go on; what is wrong is told once."""
    def start(output, *more, environment=None, settings=None):
        return [jobs.popen(jobs.command(output, "--ranks", 2, *more, settings=settings), environment)]

    # torchrun's one rank may start ranks of its own, which have nothing to do with its store
    outer = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "outer",
             "TORCHELASTIC_USE_AGENT_STORE": "True"}
    jobs.done(start("own", environment=outer), "--ranks 2")
    jobs.test.check(jobs.result("own") == jobs.result("two"), "--ranks 2: RUN/adapter differs from that of other launchers")
    job = start("own-stopped")
    jobs.wait_for_step(job, "own-stopped", 4)
    job[0].send_signal(signal.SIGTERM)
    (code, err), = jobs.finish(job)
    jobs.test.check(code == 143, f"--ranks 2, SIGTERM: exit code {code}, expected 143\n{err}")
    jobs.done(start("own-stopped"), "--ranks 2, going on")
    jobs.test.check(jobs.result("own-stopped") == jobs.result("two"), "--ranks 2 after SIGTERM: RUN/adapter differs")
    job, started = start("own-lost", settings=LONG), time.monotonic()
    jobs.wait_for_step(job, "own-lost", 3)
    os.kill(rank_jobs.ranks_below(job[0].pid)[1], signal.SIGKILL)
    (code, err), = jobs.finish(job)
    jobs.test.check(code in (1, 137) and "has given no sign" in err, f"--ranks 2, kill -9 of one: exit code {code}\n{err}")
    job = start("own-orphans", settings=LONG)
    jobs.wait_for_step(job, "own-orphans", 3)
    ranks = rank_jobs.ranks_below(job[0].pid)
    os.kill(job[0].pid, signal.SIGKILL)  # nobody is left to wait for them: they stop and save
    rank_jobs.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in ranks), 20)
    jobs.test.check(len(ranks) == 2 and not any(os.path.exists(f"/proc/{pid}") for pid in ranks), "ranks outlive their parent")
    jobs.finish(job)
    for more, environment, words in ((["optim.lrr=1"], None, ["lrr"]), ([], {"RANK": "0", "WORLD_SIZE": "2",
                                     "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, ["--ranks", "leave"])):
        (code, err), = jobs.finish(start("own-bad", *more, environment=environment))
        told = [line for line in err.splitlines() if line]
        jobs.test.check(code == 2 and len(told) == 1 and all(word in told[0] for word in words), f"--ranks, {words}: {code}\n{err}")


def check_ranks(jobs):
    port = rank_jobs.free_port()
    job = [jobs.popen([str(jobs.test.bin / "finer-train"), "--check-ranks", "--most-mb", "4"],
                      {"RANK": str(r), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}) for r in (0, 1)]
    outs = [process.communicate(timeout=60) for process in job]
    jobs.test.check([p.returncode for p in job] == [0, 0], f"--check-ranks: {outs}")
    jobs.test.check("2 ranks on the CPU over gloo" in outs[0][0] and "slowest link" in outs[0][0] and outs[1][0] == "",
                    f"--check-ranks: {outs}")
    code, _, err = jobs.test.run("finer-train", "--check-ranks")
    jobs.test.check(code == 2 and "one rank only" in err, f"--check-ranks alone: {code} {err}")


def evaluation(jobs):
    """finer-eval on 3 ranks has the answers of one; so has one that was killed on 2 ranks and went on alone."""
    import eval as one_process
    work, program = jobs.test.work / "eval", str(jobs.test.bin / "finer-eval")
    work.mkdir()
    one_process.write_world(work)
    # the first of its two models alone, as the recipe's other one is a checkpoint of the same
    recipe = (work / "eval.yaml").read_text().replace("  - {name: other, adapter: trained/checkpoints/step-15}\n", "")
    (work / "eval.yaml").write_text(recipe.replace("threads: 2", "threads: 1"))
    jobs.done([jobs.popen([str(jobs.test.bin / "finer-train"), str(harness.RECIPE), "output=trained"], cwd=work)], "an adapter")

    def start(size, output):
        port = rank_jobs.free_port()
        return [jobs.popen([program, "eval.yaml", f"output={output}"], cwd=work,
                           environment={"RANK": str(r), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1",
                                        "MASTER_PORT": str(port)}) for r in range(size)]

    def answers(output):
        return {p.name: sorted(p.read_text().splitlines()) for p in (work / output / "predictions").glob("*.jsonl")}

    def compare(output, what):
        jobs.test.check(answers(output) == answers("alone"), f"{what}: other answers")
        jobs.test.check((work / output / "results.json").read_bytes() == (work / "alone" / "results.json").read_bytes(),
                        f"{what}: results.json differs")
        jobs.test.check(not (work / output / "parts").exists(), f"{what}: OUT/parts is left behind")

    jobs.done(start(1, "alone"), "finer-eval alone")
    jobs.done(start(3, "three"), "finer-eval on 3 ranks")
    compare("three", "finer-eval on 3 ranks")
    for file in (work / "three" / "predictions").glob("*.jsonl"):
        order = [rank_jobs.json.loads(line)["idx"] for line in file.read_text().splitlines()]
        jobs.test.check(order == sorted(order) and len(order) == 144, f"{file.name}: not in order of idx")
    parity = random.random() < 0.5
    job = start(2, "killed")
    parts = work / "killed" / "parts"
    rank_jobs.wait_until(lambda: sum(p.read_bytes().count(b"\n") for p in parts.rglob("*.jsonl")) > 20, 60)
    for process in job:
        os.kill(process.pid, signal.SIGKILL)
    jobs.finish(job)
    jobs.test.check(parts.exists(), "the evaluation was over before it was killed")
    jobs.done(start(3, "killed") if parity else start(1, "killed"), "finer-eval going on")
    compare("killed", f"finer-eval killed on 2 ranks, going on on {3 if parity else 1}")
    job = start(2, "stopped")
    parts = work / "stopped" / "parts"
    rank_jobs.wait_until(lambda: sum(p.read_bytes().count(b"\n") for p in parts.rglob("*.jsonl")) > 20, 60)
    job[1].send_signal(signal.SIGTERM)
    codes = [code for code, _ in jobs.finish(job)]
    jobs.test.check(codes == [143, 143], f"SIGTERM to one rank of finer-eval: exit codes {codes}")
    jobs.done(start(1, "stopped"), "finer-eval going on alone")
    compare("stopped", "finer-eval stopped on 2 ranks, going on alone")


def open_mpi(jobs):
    if not has("mpirun"):
        print("skipped: mpirun is not installed (Debian: openmpi-bin)", flush=True)
        return
    job = [jobs.popen(["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", *jobs.command("mpi")])]
    jobs.done(job, "mpirun -n 2")
    jobs.same_losses("mpi", "two", "mpirun -n 2", 0)


def body(test):
    jobs = rank_jobs.Jobs(test)
    parts = (counts, same_bytes, other_count, few_samples, grouped, muon, measured, disagree, broken_sample, lost_rank, missing_rank, stopped,
             own_launcher, check_ranks, evaluation, open_mpi)
    only = os.environ.get("FINER_ONLY", "").split()
    for part in parts:
        if only and part.__name__ not in only:
            continue
        started = time.monotonic()
        part(jobs)
        print(f"{part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    if (not only or "killed" in only) and has(str(rank_jobs.TORCHRUN)):
        rank_jobs.killed(jobs, 2)
    elif not only:
        print("skipped: kill under torchrun, which is not in .deps/libtorch", flush=True)


if __name__ == "__main__":
    harness.main(body, __doc__)
