#!/usr/bin/env python3
"""From pictures in folders to a trained adapter: finer-data records, mixture, check and inspect, then finer-train.

    mixture.py BIN

Two folder sets are drawn, one of them held out; the mixture of the other is checked, shown as a page and trained on for
five steps by recipes/tiny/e2e.yaml."""
import json

import harness
import shapes_world

COARSE = {"Discs": ["red disc", "deep blue disc"], "Bars": ["red bar", "olive green bar", "deep blue bar"]}


def draw_set(folder, ground):
    """folder/COARSE/FINE/N.png, four each; returns the fine names."""
    for coarse, fines in COARSE.items():
        for fine in fines:
            colour, shape = fine.rsplit(" ", 1)
            place = folder / coarse / fine
            place.mkdir(parents=True)
            for i in range(4):
                shapes_world.draw(place / f"{i}.png", shape, shapes_world.COLOURS[colour], shapes_world.SIZES[i % 3], ground + i)
    return [fine for fines in COARSE.values() for fine in fines]


def body(test):
    shapes_world.make(test.work / "runs" / "e2e")
    pictures = test.work / "pictures"
    for key, ground in (("ours", 90), ("held", 150)):
        names = draw_set(pictures / key, ground)
        code, _, err = test.run("finer-data", "records", "--set", "folder", "--root", pictures / key, "--split", "train",
                                "--superordinate", "Shape", "--test-fraction", 0, "--out", f"{key}.jsonl")
        test.check(code == 0, f"finer-data records of {key}: {err}")
    attributes = [{"id": i, "name": name, "attr_binomial": {"required": [name.rsplit(" ", 1)[0] + " all over", "flat"], "likely": []}}
                  for i, name in enumerate(names[:-1])]
    (test.work / "attributes.json").write_text(json.dumps(attributes))

    def mix(out, *extra, code=0):
        found, _, err = test.run("finer-data", "mixture", "--set", "ours=ours.jsonl", "--attributes", "ours=attributes.json",
                                 "--images", "ours=ours", "--seed", 1, "--out", out, *extra)
        test.check(found == code, f"finer-data mixture {extra}: exit code {found}, expected {code}: {err}")
        return err

    held = ("--set", "held=held.jsonl", "--images", "held=held", "--hold-out", "held")
    said = mix("mix.json", *held)
    test.check(f"classes without attributes, not used: 1 ({names[-1]})" in said, f"classes without attributes are not named: {said}")
    test.check("share a name with a held-out concept" in said, f"shared names are not named: {said}")
    samples = json.loads((test.work / "mix.json").read_text())
    test.check(len(samples) == 16, f"{len(samples)} samples, expected 16")
    test.check(all(len(s["conversations"]) == 6 for s in samples), "attr-seek has three rounds")
    test.check(all(s["image"].startswith("ours/") for s in samples), "a held-out picture is in the mixture")
    manifest = json.loads((test.work / "mix.manifest.json").read_text())
    test.check(manifest["sets"]["ours"]["samples"] == 16 and manifest["seed"] == 1, "the manifest's counts")
    before = (test.work / "mix.json").read_bytes()
    mix("mix.json", *held)
    test.check(before == (test.work / "mix.json").read_bytes(), "the same seed gave other bytes")
    mix("none.json", *held, "--strict-hold-out", code=2)  # every name is shared
    mix("none.json", "--hold-out", "held", code=2)
    mix("none.txt", code=2)
    test.check(not list(test.work.glob("none*")), "a mixture that failed left a file")
    mix("direct.jsonl", "--kind", "direct")

    tokenizer = test.work / "runs" / "e2e" / "tokenizer.model"
    code, out, err = test.run("finer-data", "check", "mix.json", "--images", pictures, "--decode", "--tokenizer", tokenizer,
                              "--image-tokens", 16, "--max-tokens", 400)
    test.check(code == 0 and "samples at fault      0" in out, f"finer-data check: exit code {code}\n{out}{err}")
    (pictures / samples[3]["image"]).rename(test.work / "away.png")
    code, out, err = test.run("finer-data", "check", "mix.json", "--images", pictures)
    test.check(code == 2 and "record 3 " in out and "is not there" in out, f"check misses a missing picture: {code}\n{out}{err}")
    (test.work / "away.png").rename(pictures / samples[3]["image"])

    code, _, err = test.run("finer-data", "inspect", "mix.json", "--images", pictures, "--html", "page.html", "--samples", 6)
    page = (test.work / "page.html").read_text() if code == 0 else ""
    test.check(page.count("data:image/png;base64,") == 6 and page.count("<mark>") == 18, f"the page of samples: {err}")

    sets = f"data.sets=[{{path: mix.json, images: {pictures}}}, {{path: direct.jsonl, images: {pictures}}}]"
    recipe = (sets, "optim.steps=5", "output=run")
    test.train(*recipe, "data.max_tokens=512")
    losses = harness.losses(test.work / "run")
    test.check(len(losses) == 5 and losses[-1] < losses[0], f"losses of five steps on the mixture: {losses}")
    code, out, err = test.run("finer-data", "inspect", harness.RECIPE, *recipe, "--html", "recipe.html", "--samples", 4)
    test.check(code == 0 and (test.work / "recipe.html").exists(), f"inspect of the recipe: {err}")


if __name__ == "__main__":
    harness.main(body, __doc__)
