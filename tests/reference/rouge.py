#!/usr/bin/env python3
"""Worked cases of ROUGE-1, -2 and -L from the PyPI package rouge-score, for tests/eval/rouge_test.cpp.

    rouge.py            writes tests/golden/rouge.json
    rouge.py --check    exit code 1 when the package says otherwise than the file

The texts are attribute lists as a model writes them: parts of the right one, other words, repetitions, casing, letters outside
ASCII, nothing at all. No stemmer, the package's default."""
import json
import random
import sys
from pathlib import Path

from rouge_score import rouge_scorer

FILE = Path(__file__).resolve().parents[1] / "golden" / "rouge.json"
SEED = 11
COLOURS = ["red", "yellow", "green", "blue", "white", "black", "Rufous", "olive-brown", "GREY"]
PARTS = ["crown", "beak", "wing-bars", "tail feathers", "belly", "petals", "2 antennae", "eye ring", "under-tail coverts"]
FIXED = [
    ("", ""), ("red beak", ""), ("", "red beak"), ("...", "!?"), ("a", "a"), ("a b a b", "a b"), ("b a", "a b"),
    ("The owl's yellow eyes.", "the owls yellow eyes"), ("caf\u00e9 noir", "cafe noir"), ("\u00c9TOILE \u0130 \u212a", "etoile i k"),
    ("red\tbeak\n, black  wings", "RED BEAK; BLACK WINGS"), ("one two three four", "four three two one"),
    ("\u4e2d\u6587 red", "red \u4e2d\u6587"), ("x1 x2 x3", "x3 x1 x2 x3"), ("red beak " * 20, "red beak"),
]


def pairs():
    rng = random.Random(SEED)
    some = lambda: ", ".join(f"{rng.choice(COLOURS)} {rng.choice(PARTS)}" for _ in range(rng.randint(1, 7)))
    found = list(FIXED)
    while len(found) < 60:
        target = some()
        words = target.split()
        rng.shuffle(words)
        kept = " ".join(words[: rng.randint(0, len(words))])
        found.append((target, rng.choice([some(), kept, f"The bird has {kept} and {some()}.", target.upper()])))
    return found


def main():
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    cases = []
    for target, prediction in pairs():
        scores = scorer.score(target, prediction)
        cases.append({"target": target, "prediction": prediction, **{k: scores[k].fmeasure for k in scores}})
    text = json.dumps(cases, indent=0) + "\n"
    if sys.argv[1:] == ["--check"]:
        same = FILE.exists() and FILE.read_text() == text
        print("ok: rouge.json is what rouge-score says" if same else "FAILED: rouge.json differs from what rouge-score says")
        return 0 if same else 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
