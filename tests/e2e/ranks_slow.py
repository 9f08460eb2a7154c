#!/usr/bin/env python3
"""What ranks.py leaves out because it takes minutes, root or large packages: ten kills, Slurm, two hosts and a cut cable.

    ranks_slow.py BIN"""
import os
import subprocess
import time

import harness
import rank_jobs
from rank_jobs import SETTINGS, has

SLURM = harness.ROOT / "tests" / "e2e" / "one_node_slurm"
LONG = [s for s in SETTINGS if not s.startswith("optim.steps")] + ["optim.steps=100000"]
HOSTS = ("finer-a", "finer-b")
ADDRESSES = ("10.231.7.1", "10.231.7.2")


def slurm(jobs):
    job = [jobs.popen([str(SLURM), "srun", "-n", "2", "--overcommit", *jobs.command("slurm")])]
    [(code, err)] = jobs.finish(job, 120)
    if code == 77:
        print(err.strip().splitlines()[-1], flush=True)
        return
    jobs.test.check(code == 0, f"srun -n 2: exit code {code}\n{err[-3000:]}")
    jobs.same_losses("slurm", "two", "srun -n 2", 0)
    jobs.test.check("started by srun" in (jobs.run_dir("slurm") / "logs" / "rank-0.log").read_text(), "srun was not recognised")
    # `scancel --signal=TERM` is what --signal=TERM@120 sends before a job's time is over
    script = jobs.test.work / "notice.sh"
    script.write_text("#!/bin/sh\n" + f"srun -n 2 --overcommit {' '.join(jobs.command('notice', settings=LONG))} & p=$!\n"
                      f"for i in $(seq 300); do [ -s {jobs.run_dir('notice')}/metrics.jsonl ] && break; sleep 0.1; done\n"
                      "scancel --signal=TERM $(squeue -h -o %i)\nwait $p\n")
    script.chmod(0o755)
    [(code, err)] = jobs.finish([jobs.popen([str(SLURM), str(script)])], 120)
    reached = len(jobs.lines("notice"))
    jobs.test.check((jobs.run_dir("notice") / "checkpoints" / f"step-{reached}" / "COMPLETE").exists(),
                    f"SIGTERM by Slurm: no checkpoint at step {reached}\n{code} {err[-3000:]}")
    print(f"srun: SIGTERM at step {reached} saved a checkpoint", flush=True)


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class TwoHosts:
    """Two network namespaces with a cable between them."""

    def __enter__(self):
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", "finer-va", "type", "veth", "peer", "name", "finer-vb")
        for host, device, address in zip(HOSTS, ("finer-va", "finer-vb"), ADDRESSES):
            ip("link", "set", device, "netns", host)
            ip("-n", host, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", host, "link", "set", device, "up")
            ip("-n", host, "link", "set", "lo", "up")
        return self

    def cut(self):
        ip("-n", HOSTS[1], "link", "set", "finer-vb", "down")

    def __exit__(self, *exception):
        for host in HOSTS:
            ip("netns", "del", host, check=False)


def on_host(rank):
    return ["ip", "netns", "exec", HOSTS[rank % 2]]


def two_hosts(jobs):
    if os.geteuid() != 0 or not has("ip"):
        print("skipped: two hosts need root and iproute2", flush=True)
        return
    try:
        ip("netns", "add", "finer-try")
        ip("netns", "del", "finer-try")
    except subprocess.CalledProcessError as error:
        print(f"skipped: no network namespaces here: {error.stderr.strip()}", flush=True)
        return
    with TwoHosts():
        jobs.done(jobs.start(2, "hosts", address=ADDRESSES[0], wrap=on_host), "one job on two hosts")
    jobs.same_losses("hosts", "two", "one job on two hosts", 0)
    with TwoHosts() as hosts:
        job = jobs.start(4, "cut", settings=LONG, address=ADDRESSES[0], wrap=on_host)
        jobs.wait_for_step(job, "cut", 5)
        started = time.monotonic()
        hosts.cut()
        result = jobs.finish(job)
        took = time.monotonic() - started
    codes = [code for code, _ in result]
    told = [line for _, err in result for line in err.splitlines()
            if ("has given no sign" in line or "has not answered" in line) and "rank " in line]
    for line in told:
        print(f"cable cut: {line}", flush=True)
    jobs.test.check(codes == [1, 1, 1, 1], f"cable cut: exit codes {codes}, expected 1\n{result}")
    jobs.test.check(took <= 7, f"cable cut: took {took:.1f} s, bound 7 s")
    # two halves that cannot speak to each other: each tells by itself
    jobs.test.check(1 <= len(told) <= 3, f"cable cut: {len(told)} lines\n{result}")
    print(f"cable cut: ended after {took:.1f} s of dist.timeout_s 6", flush=True)


def body(test):
    jobs = rank_jobs.Jobs(test)
    jobs.done(jobs.start(2, "two"), "2 ranks")
    parts = {"slurm": slurm, "two_hosts": two_hosts, "killed": lambda jobs: rank_jobs.killed(jobs, 10, steps=60)}
    for name in os.environ.get("FINER_ONLY", "").split() or parts:
        started = time.monotonic()
        parts[name](jobs)
        print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    harness.main(body, __doc__)
