#!/usr/bin/env python3
"""Pictures that nobody here drew, with their names: Debian's tuxpaint-stamps-default as LLaVA JSON.

    make_dataset.py OUT.json [--stamps DIR] [--limit N] [--spread]

Each stamp of animals/ and plants/ with a text file becomes one sample: a question, and the first line of the text file
(its English name) as the answer. Paths are relative to the stamps' folder; the order is the sorted paths'.
Needs nothing but Python."""
import argparse
import json
import sys
from pathlib import Path

QUESTIONS = ["What is in this picture?", "What does the picture show?", "Name what you see.", "What is this?"]


def name_of(text_file):
    """First line: the English name. Other lines hold translations (`de.utf8=...`)."""
    lines = text_file.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    name = lines[0].strip() if lines else ""
    return "" if not name or ".utf8=" in name else name


def collect(root):
    samples = []
    for folder in ("animals", "plants"):
        for picture in sorted((root / folder).rglob("*.png")):
            text_file = picture.with_suffix(".txt")
            name = name_of(text_file) if text_file.exists() else ""
            if not name:
                continue
            path = picture.relative_to(root).as_posix()
            question = QUESTIONS[len(samples) % len(QUESTIONS)]
            samples.append({"id": path.removesuffix(".png"), "image": path, "conversations": [
                {"from": "human", "value": "<image>\n" + question}, {"from": "gpt", "value": name}]})
    return samples


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--stamps", type=Path, default=Path("/usr/share/tuxpaint/stamps"))
    parser.add_argument("--limit", type=int, default=0, help="at most N samples")
    parser.add_argument("--spread", action="store_true", help="with --limit: every k-th instead of the first N")
    args = parser.parse_args()
    samples = collect(args.stamps)
    if not samples:
        sys.exit(f"{args.stamps}: no stamps with names; install Debian's tuxpaint-stamps-default or give --stamps")
    if args.limit and args.limit < len(samples):
        step = len(samples) / args.limit if args.spread else 1
        samples = [samples[int(i * step)] for i in range(args.limit)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(samples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{args.out}: {len(samples)} samples, {len({s['conversations'][1]['value'] for s in samples})} names")


if __name__ == "__main__":
    main()
