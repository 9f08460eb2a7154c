"""Runs finer's programs: from $FINER_BIN, else the dev build of this checkout."""
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program(name):
    folder = Path(os.environ.get("FINER_BIN", ROOT / "build" / "dev" / "bin"))
    path = folder / name
    if not path.exists():
        sys.exit(f"{path}: no such program; build it, or set FINER_BIN to the folder that has it")
    return str(path)


def is_built(name):
    return (Path(os.environ.get("FINER_BIN", ROOT / "build" / "dev" / "bin")) / name).exists()


def run(name, *arguments, quiet=True):
    """Returns what it wrote to stdout; ends this script with its message when it fails."""
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr or ''}")
    return done.stdout


def run_json(name, *arguments):
    return json.loads(run(name, *arguments))


def read_metrics(run_dir):
    return [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines() if line]
