#!/usr/bin/env python3
"""finer-eval score from outside: the worked cases of tests/golden/scores.json, 400 drawn ones against the rules as
written out here a second time, and what a user gets wrong.

    score.py BIN"""
import json
import random
import re
import string

import harness

GOLDEN = harness.ROOT / "tests" / "golden" / "scores.json"
LEVELS = ("high_coarse", "coarse", "fine")


def normal(text):
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(?:the|an|a)\b", " ", bare).split())


def expected(text, labels):
    """(em, f1): the rules of the paper's scoring in their plainest form."""
    answer = text.partition("Answer:")[2] if "Answer:" in text else text
    answer = normal(answer.strip().replace("</s>", ""))
    words, best_em, best_f1 = answer.split(), 0.0, 0.0
    for label in map(normal, labels):
        best_em = max(best_em, float(label in " ".join(words[:20]) or label == answer))
        left, same = list(words), 0
        gold = label.split()[:10]
        for word in gold:
            if word in left:
                left.remove(word)
                same += 1
        if same:
            precision, recall = same / len(words), same / len(gold)
            best_f1 = max(best_f1, 2 * precision * recall / (precision + recall))
    return best_em, best_f1


def labels_of(record, level):
    return ([record["basic-level-lbl"]] if level == "high_coarse" else []) + (
        record["coarse-level-lbl"] if level != "fine" else []) + record["fine-level-lbl"]


def drawn(rng):
    """Records and answers made of few words, so that they often agree in part."""
    words = ["owl", "Tawny", "the", "A", "an", "Great-horned", "\u00c9cureuil", "\u0416\u0423\u041a", "\u03a3\u039f\u03a6\u039f\u03a3", "F/A-18", "(blue)", "eel", "\u2014", "a\u2019s", "caf\u00e9", "2012", "$$", "\u00a0x"]
    some = lambda most: " ".join(rng.choice(words) for _ in range(rng.randint(1, most)))
    records, answers = [], []
    for idx in range(400):
        record = {"idx": idx, "basic-level-lbl": some(2), "coarse-level-lbl": [some(3) for _ in range(rng.randint(0, 2))],
                  "fine-level-lbl": [some(12) for _ in range(rng.randint(1, 2))], "img_path": f"{idx}.jpg", "metadata": {}}
        records.append(record)
        label = rng.choice(labels_of(record, "high_coarse"))
        answers.append(rng.choice([label, f"Answer: {label}</s>", some(5) + " " + label, some(30) + " " + label.upper(), some(25),
                                   f"It flies. Answer: {some(2)}. Answer: {label}", label.replace(" ", "  "), "", " \n"]))
    return records, answers


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items)


def body(test):
    records, predictions, samples = (test.work / name for name in ("records.jsonl", "predictions.jsonl", "samples.jsonl"))

    def score(level, *more):
        return test.run("finer-eval", "score", "--records", records, "--predictions", predictions, "--level", level, *more)

    def compare(cases, name):
        """cases: (idx, text, level -> (em, f1))"""
        predictions.write_text(lines({"idx": idx, "text": text, "question": "?"} for idx, text, _ in cases))
        for level in LEVELS:
            code, out, err = score(level, "--per-sample", samples)
            if not test.check(code == 0, f"{name} {level}: exit code {code}\n{err}"):
                continue
            found = [json.loads(line) for line in samples.read_text().splitlines()]
            test.check(len(found) == len(cases), f"{name} {level}: {len(found)} lines for {len(cases)} predictions")
            for (idx, text, truth), line in zip(cases, found):
                em, f1 = truth[level]
                test.check(line["idx"] == idx and line["em"] == em and abs(line["f1"] - f1) <= 1e-6, f"{name} {level} {text!r}: {line}, expected {em}, {f1}")
            total = json.loads(out)
            test.check(total["level"] == level and total["count"] == len(cases), f"{name}: {out}")
            for key, place in (("em", 0), ("f1", 1)):
                mean = sum(truth[level][place] for _, _, truth in cases) / len(cases)
                test.check(abs(total[key] - mean) <= 1e-6, f"{name} {level}: {key} {total[key]}, expected {mean}")
                low, high = total[key + "_interval"]
                test.check(low <= total[key] <= high, f"{name} {level}: {key} outside its interval")

    golden = json.loads(GOLDEN.read_text())
    records.write_text(lines(golden["records"]))
    compare([(c["idx"], c["text"], {level: (c[level]["em"], c[level]["f1"]) for level in LEVELS}) for c in golden["cases"]], "golden")

    made, answers = drawn(random.Random(5))
    records.write_text(lines(made))
    cases = [(r["idx"], text, {level: expected(text, labels_of(r, level)) for level in LEVELS}) for r, text in zip(made, answers)]
    test.check(0.2 < sum(c[2]["fine"][0] for c in cases) / len(cases) < 0.8, "the drawn cases are all alike")
    compare(cases, "drawn")

    # what a user gets wrong: exit code 2, one line, and no file
    records.write_text(lines(golden["records"]))
    good = lines([{"idx": 0, "text": "Boeing 737"}, {"idx": 1, "text": "x"}])

    def refused(text, *parts, level="fine"):
        predictions.write_bytes(text if isinstance(text, bytes) else text.encode())
        samples.unlink(missing_ok=True)
        code, out, err = score(level, "--per-sample", samples)
        test.check(code == 2 and out == "" and len(err.strip().splitlines()) == 1, f"{parts}: exit code {code}, {out!r}, {err!r}")
        test.check(all(part in err for part in parts), f"expected {parts} in {err!r}")
        test.check(not samples.exists(), f"{parts}: --per-sample was written")

    refused(good + '{"idx": 6, "text": ""}\n', "predictions.jsonl\":3", "idx 6", "0 to 5")
    refused('{"idx": -1, "text": ""}\n', "idx -1")
    refused('{"idx": 99999999999999999999, "text": ""}\n', "predictions.jsonl\":1")
    refused('{"idx": "0", "text": ""}\n', "predictions.jsonl\":1", "whole number")
    refused('{"idx": 0}\n', "no \"text\"")
    refused('{"text": ""}\n', "no \"idx\"")
    refused('{"idx": 0, "te\n' + good, "predictions.jsonl\":1")
    refused(b'{"idx": 0, "text": "\xff\xfe"}\n', "UTF-8")
    refused("", "holds no prediction")
    refused(good, "level", "\"fin\"", "did you mean \"fine\"", level="fin")
    without = [{**r, "coarse-level-lbl": []} for r in golden["records"]]
    records.write_text(lines(without))
    refused(good, "no record has a coarse label", level="coarse")
    records.write_text("")
    refused(good, "holds no record")
    records.unlink()
    refused(good, "records.jsonl")
    records.write_text(lines(golden["records"]))
    predictions.unlink()
    code, _, err = score("fine")
    test.check(code == 2 and "predictions.jsonl" in err, f"no predictions: {code} {err!r}")

    # a line that a kill cut short is left out, and it says so; repeated ones count, and it says so
    predictions.write_text(good + '{"idx": 2, "text": "wire ha')
    code, out, err = score("fine")
    test.check(code == 0 and json.loads(out)["count"] == 2 and "cut short" in err, f"cut line: {code} {out!r} {err!r}")
    predictions.write_text(good + good)
    code, out, err = score("fine")
    test.check(code == 0 and json.loads(out)["count"] == 4 and json.loads(out)["repeated"] == 2 and "2 of 4" in err, f"repeated: {code} {out!r} {err!r}")
    # a whole last line without its line end is a line
    predictions.write_text(good.rstrip("\n"))
    code, out, err = score("fine")
    test.check(code == 0 and json.loads(out)["count"] == 2 and err == "", f"last line: {code} {out!r} {err!r}")
    code, _, _ = score("fine", "--per-sample", test.work / "nowhere" / "samples.jsonl")
    test.check(code == 2, "--per-sample into a folder that is not there")


if __name__ == "__main__":
    harness.main(body, __doc__)
