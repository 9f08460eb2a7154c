#!/usr/bin/env python3
"""Ids and labels of LLaVA JSON by the slow Llama tokenizer; with --check also those of finer-data tokenize.

    tokens.py --tokenizer DIR|FILE --in samples.json --out tokens.jsonl [--check]
    tokens.py --tokenizer DIR|FILE --golden cases.json"""
import argparse
import json
import sys
import tempfile
from pathlib import Path

import conversation
import finer_program


def first_difference(want, have):
    for key in ("input_ids", "labels"):
        if want[key] != have[key]:
            at = next((i for i, (a, b) in enumerate(zip(want[key], have[key])) if a != b),
                      min(len(want[key]), len(have[key])))
            return f"{key}[{at}]: expected {want[key][at:at + 6]}, found {have[key][at:at + 6]}"
    return "" if want.get("image") == have.get("image") else f"image: {have.get('image')}"


def report(rows, found, name):
    gaps = [(row.get("id"), first_difference(row, other)) for row, other in zip(rows, found)]
    gaps = [(i, gap) for i, gap in gaps if gap]
    for sample_id, gap in gaps[:10]:
        print(f"{sample_id}: {gap}")
    is_same = not gaps and len(rows) == len(found)
    print(f"{'ok' if is_same else 'FAILED'}: {name}: {len(rows) - len(gaps)} of {len(rows)} samples equal")
    return 0 if is_same else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--in", dest="source", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--golden", type=Path)
    args = parser.parse_args()
    tokenizer = conversation.load_tokenizer(args.tokenizer)
    if args.golden:
        cases = json.loads(args.golden.read_text())["cases"]
        return report(cases, [conversation.tokenize(tokenizer, case["sample"]) | {"image": case.get("image")}
                              for case in cases], "golden cases")
    rows = [conversation.tokenize(tokenizer, sample) for sample in conversation.read_samples(args.source)]
    if args.out:
        conversation.write_tokens(args.out, rows)
    if not args.check:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.jsonl"
        finer_program.run("finer-data", "tokenize", "--tokenizer", args.tokenizer, "--conversation", "vicuna_v1",
                          "--in", args.source, "--out", file)
        found = [json.loads(line) for line in file.read_text().splitlines() if line]
    return report(rows, found, "finer-data tokenize")


if __name__ == "__main__":
    sys.exit(main())
