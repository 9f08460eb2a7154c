"""What the tests of this folder share: running the programs, reading what they wrote, counting what failed."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "tiny" / "e2e.yaml"
# OpenMP's threads spin while they wait for each other: with two busy neighbours on two cores, 2 s become 150 s.
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}


def losses(run):
    return [json.loads(line)["loss"] for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def tree(folder):
    """Path -> bytes of every file below."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


class Test:
    """A scratch folder, in which the programs run, and the count of what went wrong.

    Use: `with Test() as test: ...; sys.exit(test.code)`; the folder stays when something failed."""

    def __init__(self, bin_folder):
        self.bin = Path(bin_folder).resolve()
        self.failures = 0
        self.checks = 0

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="finer-e2e-")
        self.work = Path(self.scratch.name)
        return self

    def __exit__(self, *exception):
        self.scratch.cleanup()

    def check(self, is_good, what):
        is_good = bool(is_good)
        self.checks += 1
        if not is_good:
            self.failures += 1
            print(f"FAILED: {what}", flush=True)
        return is_good

    def start(self, program, *arguments):
        return subprocess.Popen([self.bin / program, *map(str, arguments)], cwd=self.work, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=ENVIRONMENT)

    def run(self, program, *arguments, timeout_s=120):
        """Returns exit code, stdout, stderr."""
        process = self.start(program, *arguments)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += f"\n(killed by the test after {timeout_s} s)"
        return process.returncode, out, err

    def train(self, *arguments, code=0):
        """finer-train with the tiny recipe; returns stderr."""
        found, _, err = self.run("finer-train", RECIPE, *arguments)
        self.check(found == code, f"finer-train {' '.join(map(str, arguments))}: exit code {found}, expected {code}\n{err}")
        return err

    def report(self):
        print(f"{self.checks - self.failures} of {self.checks} checks passed")
        return 1 if self.failures else 0


def main(body, usage):
    """Runs body(test) with the bin folder from the command line; ends with 0 or 1."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "finer-train").exists():
        sys.exit(f"{usage}\n\nexpected one argument: the folder of the programs, such as build/dev/bin")
    with Test(sys.argv[1]) as test:
        body(test)
        sys.exit(test.report())
