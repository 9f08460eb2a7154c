#!/usr/bin/env python3
"""The miniature's stages by its own recipes, in a world too small to learn from: that each hands on what the next one
reads, that nothing held out is in a training file, and that such a thing is found. What it learns: tools/demo.

    mini.py BIN"""
import json
import time

import harness

RECIPES = harness.ROOT / "recipes" / "mini"
WORLD = ("--concepts", 5, "--held-out", 1, "--specimens", 60, "--train-pictures", 2, "--known-pictures", 1,
         "--held-out-pictures", 1, "--probe-pictures", 4, "--chats", 1)
ARMS = ("direct", "attr-seek", "no-answer", "name-first")
STEPS = ("optim.steps=8", "batch.samples=12", "checkpoint.every_steps=2")


def killed(test, stage):
    """The stage into a folder of its own, killed on its way and started again: the same bytes."""
    command = ("finer-train", RECIPES / f"{stage}.yaml", *STEPS, f"output=again-{stage}")
    metrics = test.work / f"again-{stage}" / "metrics.jsonl"
    process = test.start(*command)
    while process.poll() is None and (not metrics.exists() or metrics.read_bytes().count(b"\n") < 4):
        time.sleep(0.002)
    test.check(process.poll() is None, f"{stage}: it ended before it was killed")
    process.kill()
    process.communicate()
    code, _, err = test.run(*command)
    test.check(code == 0 and "step-" in err, f"{stage}, started again: exit code {code}\n{err}")
    first, second = (sorted((test.work / folder).glob("*/*.safetensors")) for folder in (stage, f"again-{stage}"))
    test.check(first and [p.read_bytes() for p in first] == [p.read_bytes() for p in second], f"{stage}, killed: other weights")


def body(test):
    def run(program, *arguments, code=0):
        found, out, err = test.run(program, *arguments, timeout_s=240)
        test.check(found == code, f"{program} {' '.join(map(str, arguments))}: exit code {found}, expected {code}\n{err}")
        return out, err

    run("finer-data", "world", "--seed", 5, "--out", "world", *WORLD)
    (test.work / "mixture").mkdir()
    for arm in ARMS:
        run("finer-data", "mixture", RECIPES / "mixture" / f"{arm}.yaml")
    files = [f"mixture/{arm}.jsonl" for arm in ARMS] + [f"world/{name}.jsonl" for name in ("text", "text-plain", "text-turns", "visual")]
    run("finer-data", "world-check", "--world", "world", *files)

    # a held-out picture under another name is found
    world = json.loads((test.work / "world" / "world.json").read_text())
    record = json.loads((test.work / "world/records/unified-mini-held-out-test-combined.jsonl").read_text().splitlines()[0])
    hidden = test.work / "world" / "pictures" / "train" / "innocent.png"
    hidden.write_bytes((test.work / "world" / record["img_path"]).read_bytes())
    leak = {"id": "leak", "image": "pictures/train/innocent.png",
            "conversations": [{"from": "human", "value": "<image>\nWhat is in this picture?"}, {"from": "gpt", "value": "bird"}]}
    (test.work / "leak.jsonl").write_text(json.dumps(leak) + "\n")
    _, err = run("finer-data", "world-check", "--world", "world", "leak.jsonl", code=2)
    test.check("held" in err, f"the held-out picture is not named: {err}")
    hidden.unlink()
    test.check(world["counts"]["held_out"] == 9, f"{world['counts']['held_out']} held-out concepts, expected 9")

    for stage in ("text", "visual", "direct", "attr-seek", "no-answer", "name-first", "direct-long"):
        run("finer-train", RECIPES / f"{stage}.yaml", *STEPS)
    _, err = run("finer-train", RECIPES / "visual.yaml", *STEPS)
    test.check("finished" in err, f"a finished stage does not say so: {err}")

    quick = ("scoring.resamples=50", "probes.linear.0.epochs=2", "generate.max_new_tokens=6")
    for evaluation, models in (("eval", 4), ("eval-controls", 6)):
        run("finer-eval", RECIPES / f"{evaluation}.yaml", *quick)
        out = test.work / evaluation
        results = json.loads((out / "results.json").read_text())
        rows = [row for row in results["rows"] if row["level"] == "fine"]
        test.check({row["set"] for row in rows} == {"held-out", "known"}, f"{evaluation}: sets of the fine rows")
        test.check(len({row["model"] for row in rows}) == models, f"{evaluation}: {len(rows)} rows, expected {models} models")
        test.check("bear in mind" in (out / "report.html").read_text(), f"{evaluation}: report.html lacks its caveats")
    for stage in ("text", "visual", "direct", "attr-seek", "no-answer"):
        killed(test, stage)
    run("finer-eval", RECIPES / "eval.yaml", *quick, "output=eval-again", "models.1.adapter=again-direct/adapter",
        "models.2.adapter=again-attr-seek/adapter", "models.3.adapter=again-no-answer/adapter")
    tables = [(test.work / folder / "table.txt").read_text() for folder in ("eval", "eval-again")]
    test.check(tables[0] == tables[1], "stages that were killed and went on: another table")
    out, _ = run("finer-eval", "seeds", "eval", "eval")
    test.check("attr-seek less direct" in out, f"finer-eval seeds: {out}")
    _, err = run("finer-eval", "seeds", "eval", "eval-controls", code=2)
    test.check("evaluations of one recipe" in err, f"finer-eval seeds of two recipes: {err}")


if __name__ == "__main__":
    harness.main(body, __doc__)
