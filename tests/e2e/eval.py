#!/usr/bin/env python3
"""finer-eval on the model of recipes/tiny/e2e.yaml: killed, stopped and started again, it ends with the same answers.

    eval.py BIN

The moments of `kill -9` are drawn anew each time; FINER_E2E_SEED=N repeats those of a run that failed, as far as a clock
can."""
import json
import os
import random
import signal
import time

import harness
import shapes_world

COPIES = 6  # records a picture: 144 in all
RECIPE = """
models:
  - {name: first, adapter: trained}
  - {name: other, adapter: trained/checkpoints/step-15}
sets:
  - {name: shapes, records: records.jsonl, images: runs/e2e/pictures, attributes: [attributes.json]}
levels: [coarse, fine]
prompts:
  - {name: direct, fine: "What is shown in this image?"}
  - name: rounds
    kind: turns
    turns:
      - {ask: coarse, wording: "What is the exact name?"}
      - {ask: attributes, wording: "And the colour?"}
      - {ask: fine, wording: "It has {attributes}. What is the exact name of this {coarse}?"}
generate: {max_new_tokens: 8, batch: 8}
output: out
device: cpu
threads: 2
"""


def write_world(work):
    shapes_world.make(work / "runs" / "e2e")
    colours, lines = list(shapes_world.COLOURS), []
    for idx in range(24 * COPIES):
        number = idx % 24
        colour, shape = colours[number % 4], shapes_world.SHAPES[number % 3]
        lines.append({"idx": idx, "basic-level-lbl": "Shape", "coarse-level-lbl": [shape], "fine-level-lbl": [f"{colour} {shape}"],
                      "img_path": f"{number:02d}.png", "metadata": {}})
    write_records(work / "records.jsonl", lines)
    concepts = [{"id": str(i), "name": f"{colour} {shape}", "attr_binomial": {"required": [f"{colour} colour", f"{shape} outline"],
                                                                             "likely": []}}
                for i, (colour, shape) in enumerate((c, s) for c in colours for s in shapes_world.SHAPES)]
    (work / "attributes.json").write_text(json.dumps(concepts))
    (work / "eval.yaml").write_text(RECIPE)
    return lines


def write_records(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


class Eval:
    def __init__(self, test):
        self.test = test
        self.records = write_world(test.work)
        test.train("output=trained")
        self.whole = test.work / "whole"
        self.finish("whole")
        self.answers = self.read("whole")
        self.results = (self.whole / "results.json").read_bytes()
        names = sorted(p.name for p in (self.whole / "predictions").glob("*.jsonl"))
        want = sorted(f"{m}--shapes--{p}--{level}.jsonl" for m in ("first", "other") for p in ("direct", "rounds")
                      for level in ("coarse", "fine"))
        test.check(names == want, f"predictions: {names}, expected {want}")
        for name, lines in self.answers.items():
            test.check([line["idx"] for line in lines] == list(range(len(self.records))), f"{name}: not every record once")

    def start(self, output, *more):
        return self.test.start("finer-eval", "eval.yaml", f"output={output}", *more)

    def finish(self, output, *more, code=0, recipe="eval.yaml"):
        found, out, err = self.test.run("finer-eval", recipe, f"output={output}", *more, timeout_s=300)
        self.test.check(found == code, f"finer-eval {output} {' '.join(more)}: exit code {found}, expected {code}\n{out}{err}")
        return out, err

    def read(self, output):
        """File name -> its predictions by idx; fails on a broken line."""
        out = {}
        for file in sorted((self.test.work / output / "predictions").glob("*.jsonl")):
            text = file.read_text()
            self.test.check(text.endswith("\n"), f"{output}/{file.name}: its last line is broken")
            out[file.name] = sorted((json.loads(line) for line in text.splitlines()), key=lambda line: line["idx"])
        return out

    def lines(self, output):
        folder = self.test.work / output / "predictions"
        return sum(p.read_bytes().count(b"\n") for p in folder.glob("*.jsonl")) if folder.exists() else 0

    def wait_for(self, process, is_there, timeout_s=120):
        until = time.monotonic() + timeout_s
        while process.poll() is None and not is_there():
            if time.monotonic() > until:
                process.kill()
                self.test.check(False, f"nothing happened in {timeout_s} s")
            time.sleep(0.001)

    def compare(self, output, what):
        found = self.read(output)
        for name, lines in self.answers.items():
            have = found.get(name, [])
            self.test.check(have == lines, f"{what}: {name}: {len(have)} lines, {len(lines)} expected, or other ones")
        self.test.check((self.test.work / output / "results.json").read_bytes() == self.results,
                        f"{what}: results.json differs from the unbroken run's")


def killed_at_random(e):
    seed = int(os.environ.get("FINER_E2E_SEED", random.SystemRandom().randrange(1 << 30)))
    draw, total, deaths, moments = random.Random(seed), sum(map(len, e.answers.values())), 0, []
    for target in [0, *sorted(draw.sample(range(1, total - 60), 4))]:
        process = e.start("killed")
        e.wait_for(process, lambda: e.lines("killed") >= target)
        time.sleep(draw.uniform(0, 0.1))
        process.kill()
        process.communicate()
        deaths += process.returncode == -signal.SIGKILL
        moments.append(str(e.lines("killed")))
    print(f"kill -9 behind lines {', '.join(moments)} of {total} (FINER_E2E_SEED={seed})", flush=True)
    # a kill in the middle of a line
    file = max((e.test.work / "killed" / "predictions").glob("*.jsonl"), key=lambda p: p.stat().st_mtime)
    with file.open("ab") as stream:
        stream.write(b'{"idx": 3, "text": "cut of')
    _, err = e.finish("killed")
    e.test.check("cut off a last line" in err, f"a broken last line is not spoken of:\n{err}")
    e.test.check(deaths >= 3, f"only {deaths} of 5 runs were still there to be killed")
    e.compare("killed", f"killed (FINER_E2E_SEED={seed})")


def stopped(e, number, code):
    name = f"stopped-{code}"
    process = e.start(name)
    e.wait_for(process, lambda: e.lines(name) >= 20)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    reached = e.lines(name)
    e.test.check(process.returncode == code, f"signal {number}: exit code {process.returncode}, expected {code}\n{err}")
    e.test.check("stopped; all answers so far" in err and 20 <= reached, f"signal {number}: {reached} lines\n{err}")
    e.finish(name)
    e.compare(name, f"signal {number}")


def started_again(e):
    """A finished evaluation loads no model and changes no answer."""
    before = {p.name: p.read_bytes() for p in (e.whole / "predictions").iterdir()}
    out, err = e.finish("whole")
    e.test.check({p.name: p.read_bytes() for p in (e.whole / "predictions").iterdir()} == before,
                 "a finished evaluation that is started again changes its predictions")
    e.test.check("opening" not in err and "first" in out, f"a finished evaluation opens its models again:\n{err}")


def same_answers(e, output, *more):
    e.finish(output, *more)
    found = e.read(output)
    e.test.check(found == e.answers, f"{' '.join(more)} changes the answers")


def larger_subset(e):
    e.finish("subset", "subset.limit=5")
    few = e.read("subset")
    e.finish("subset", "subset.limit=9")
    more = e.read("subset")
    for name, lines in more.items():
        e.test.check(len(lines) == 9 and all(line in lines for line in few[name]), f"{name}: 5 records, then 9: {len(lines)}")
        e.test.check(all(line in e.answers[name] for line in lines), f"{name}: a subset's answers are others")


def own_answers_are_asked_with(e):
    """The last question of a conversation holds what the model itself said, as it said it."""
    for line in e.answers["first--shapes--rounds--fine.jsonl"]:
        asks = [turn["ask"] for turn in line["turns"]]
        e.test.check(asks == ["coarse", "attributes", "fine"], f"turns {asks}")
        said = line["turns"][1]["answer"].split("\n")[0].rstrip(". ") or "unknown"
        e.test.check(f"It has {said}. " in line["question"] and line["question"] == line["turns"][2]["question"]
                     and line["text"] == line["turns"][2]["answer"], f"{said!r} is not in {line['question']!r}")


def scored_from_outside(e):
    rows = {(r["model"], r["condition"], r["level"]): r for r in json.loads(e.results)["rows"]}
    for level in ("coarse", "fine"):
        code, out, err = e.test.run("finer-eval", "score", "--records", "records.jsonl", "--level", level, "--predictions",
                                    f"whole/predictions/first--shapes--direct--{level}.jsonl")
        found = json.loads(out) if code == 0 else {}
        want = rows[("first", "direct", level)]
        e.test.check(code == 0 and abs(found["em"] - want["em"]["mean"]) < 1e-9 and found["count"] == want["count"] == 24 * COPIES,
                     f"finer-eval score says {out or err}, results.json {want}")


def closed_set(e):
    out, _ = e.finish("closed", "scoring.closed_set=true", "subset.limit=12")
    found = json.loads((e.test.work / "closed" / "results.json").read_text())["closed_set"]
    e.test.check(len(found) == 8 and all(row["top1"]["mean"] <= row["top5"]["mean"] for row in found), f"closed set: {found}")
    e.test.check("Choosing among the names" in out, f"the table does not show closed-set scores:\n{out}")
    names = {f"{colour} {shape}" for colour in shapes_world.COLOURS for shape in shapes_world.SHAPES}
    for line in e.read("closed")["first--shapes--direct--fine.jsonl"]:
        e.test.check(len(set(line["ranked"])) == 5 and names.issuperset(line["ranked"]), f"ranked: {line['ranked']}")


def probes(e):
    """Each probe is answered, cached, and the same when asked again."""
    more = ["subset.limit=24", "prompts=[{name: direct}]", "levels=[fine]",
            "probes={knowledge: {}, attributes: {}, linear: [{fit_records: records.jsonl, test_records: records.jsonl, images: "
            "runs/e2e/pictures, level: coarse, taps: [\"vision:-2\", projector, \"language:1\"], epochs: 300, lr: 1.0e-2}]}"]
    out, _ = e.finish("probed", *more)
    found = json.loads((e.test.work / "probed" / "results.json").read_text())
    e.test.check([row["concepts"] for row in found["knowledge"]] == [found["rows"][0]["classes"]] * 2, f"{found['knowledge']}")
    e.test.check({(row["model"], row["from"]) for row in found["attributes"]}
                 == {(m, f) for m in ("first", "other") for f in ("image", "name")}, f"attributes: {found['attributes']}")
    taps = [(row["model"], row["tap"]) for row in found["linear"]]
    e.test.check(taps == [(m, t) for m in ("first", "other") for t in ("vision:-2", "projector", "language:1")], f"taps {taps}")
    e.test.check(all(row["accuracy"] > 0.8 for row in found["linear"]), f"12 shapes that were fitted: {found['linear']}")
    towers = [(row["features"], row["accuracy"]) for row in found["linear"] if row["tap"] == "vision:-2"]
    e.test.check(towers[0] == towers[1], f"two models of one frozen tower: {towers}")
    e.test.check(len({row["features"] for row in found["linear"]}) > 3, f"only the tower is shared: {found['linear']}")
    for title in ("modality gap", "Attributes that the model gives", "linear probe"):
        e.test.check(title in out and title in (e.test.work / "probed" / "report.html").read_text(), f"no table of {title}")
    again, err = e.finish("probed", *more)
    e.test.check(again == out and "opening" not in err, f"probes that are asked again open the models:\n{err}")
    heads = sorted((e.test.work / "probed" / "probes" / "heads").glob("*.json"))
    e.test.check(len(heads) == 5, f"a head each of one shared tower and two projectors and language models: {heads}")
    whole = heads[0].read_text()
    heads[0].write_text(json.dumps({**json.loads(whole), "accuracy": 0.125}))
    kept, _ = e.finish("probed", *more)
    e.test.check("12.5" in kept and kept != out, "a head that was fitted before is not read")
    heads[0].write_text(whole[:7])
    again, err = e.finish("probed", *more)
    e.test.check(again == out and heads[0].read_text() == whole and "is not whole" in err, f"a torn head is not made anew:\n{err}")
    questions = [line["question"] for line in e.read("probed")["first--shapes--probe.knowledge--fine.jsonl"]]
    e.test.check(all("colour, " in q and "outline" in q for q in questions), f"gold attributes are not in {questions[:2]}")


def during_training(e):
    """eval: in a training recipe measures without changing what is trained, and stops early."""
    section = ("eval={every_steps: 5, loss_data: runs/e2e/names.json, loss_images: runs/e2e/pictures, records: records.jsonl, "
               "images: runs/e2e/pictures, limit: 12, max_new_tokens: 6, prompts: [{name: q, fine: \"What is shown in this image?\"}]}")
    test, name = e.test, "measured/run"
    test.train(section, f"output={name}")
    run, plain = test.work / name, test.work / "trained"
    # model card and adapter of the same bytes, as far as they do not name the folder
    for file in ("adapter/adapter_model.safetensors", "checkpoints/step-20/optimizer.safetensors"):
        test.check((run / file).read_bytes() == (plain / file).read_bytes(), f"{file}: measuring changed the training")
    lines = read_measures(run)
    test.check([line["step"] for line in lines] == [5, 10, 15, 20] and set(lines[0]) >= {"loss", "em.fine", "f1.fine"},
               f"eval.jsonl: {lines}")
    losses = [line["loss"] for line in lines]
    best = json.loads((run / "best" / "best.json").read_text())
    test.check(losses[-1] < losses[0] and best["value"] == min(losses) and best["metric"] == "loss", f"{losses}, {best}")
    code, out, err = test.run("finer-eval", "loss", harness.RECIPE, "--adapter", run / "best",
                              "data.sets=[{path: runs/e2e/names.json, images: runs/e2e/pictures}]")
    # 12 of the 24 conversations are measured, so the two losses are near, not equal
    test.check(code == 0 and abs(json.loads(out)["loss"] - best["value"]) < 1.0, f"RUN/best: {out or err}")
    process = test.start("finer-train", harness.RECIPE, section, "output=broken/run")
    e.wait_for(process, lambda: len(read_measures(test.work / "broken" / "run")) >= 2)
    process.kill()
    process.communicate()
    test.train(section, "output=broken/run")
    test.check(read_measures(test.work / "broken" / "run") == lines, "a killed run measured something else")
    same = (test.work / "broken/run/best/adapter/adapter_model.safetensors").read_bytes()
    test.check(same == (run / "best/adapter/adapter_model.safetensors").read_bytes(), "a killed run kept another best step")
    # a rate at which nothing improves: the first evaluation stays the best
    early = ["optim.lr=1.0e-30", "optim.projector_lr=1.0e-30", "lora.dropout=0", section.replace("limit: 12", "limit: 12, patience: 2")]
    err = test.train(*early, "output=early")
    steps = [line["step"] for line in read_measures(test.work / "early")]
    test.check(steps == [5, 10, 15] and "the run ends here" in err, f"patience 2: measured at {steps}\n{err}")
    test.check((test.work / "early" / "FINISHED").exists(), "a run that ended early is not finished")
    err = test.train(*early, "output=early")
    test.check("this run is finished" in err, f"a run that ended early goes on:\n{err}")
    for what, said in (("best_by: em.coarse", "eval.best_by: found \"em.coarse\", which is not measured"),
                       ("levels: [shape]", "eval.levels[0]: found \"shape\"")):
        code, _, err = test.run("finer-train", harness.RECIPE, section.replace("limit: 12", what), "output=no")
        test.check(code == 2 and said in err, f"{what}: exit code {code}: {err}")


def read_measures(run):
    file = run / "eval.jsonl"
    lines = [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def faults(e):
    """One clear line, exit code 2, and the answers so far stay."""
    def fails(what, output, *more, recipe="eval.yaml"):
        _, err = e.finish(output, *more, code=2, recipe=recipe)
        e.test.check(what in err and err.strip().count("\n") <= 4, f"{' '.join(more)}: {what!r} is not said:\n{err}")

    fails("generat: unknown key; did you mean \"generate\"", "none", "generat.batch=2")
    fails("prompts[1].turns[0].ask: found \"shape\"", "none", "prompts.1.turns.0.ask=shape")
    fails("place \"{colour}\"", "none", "prompts.0.fine=Which {colour}?")
    fails("nowhere: is not there", "none", "models.0.adapter=nowhere")
    fails("was made with other settings: max_new_tokens was \"8\", is now \"9\"", "whole", "generate.max_new_tokens=9")
    fails("was made with other settings: turns[0]", "whole", "prompts.0.fine=What is it?")
    e.test.check((e.whole / "results.json").read_bytes() == e.results, "a refused run touched results.json")
    records = [dict(line, **({"coarse-level-lbl": []} if line["idx"] == 7 else {})) for line in e.records]
    write_records(e.test.work / "no-coarse.jsonl", records)
    fails("no-coarse.jsonl: idx 7 has no label of level coarse", "none", "sets.0.records=no-coarse.jsonl")
    records = [dict(line, **({"img_path": "gone.png"} if line["idx"] == 40 else {})) for line in e.records]
    write_records(e.test.work / "gone.jsonl", records)
    fails("gone.jsonl: idx 40: picture", "gone", "sets.0.records=gone.jsonl")
    kept = e.lines("gone")
    e.test.check(kept >= 40, f"a vanished picture took answers with it: {kept} lines are left")
    e.test.check(not (e.test.work / "none" / "predictions").exists(), "a refused recipe wrote predictions")


def body(test):
    e = Eval(test)
    own_answers_are_asked_with(e)
    scored_from_outside(e)
    started_again(e)
    killed_at_random(e)
    stopped(e, signal.SIGINT, 130)
    stopped(e, signal.SIGTERM, 143)
    same_answers(e, "one", "generate.batch=1", "workers=1")
    same_answers(e, "no-reuse", "generate.reuses_prefixes=false", "generate.batch=32")
    larger_subset(e)
    closed_set(e)
    probes(e)
    during_training(e)
    faults(e)


if __name__ == "__main__":
    harness.main(body, __doc__)
