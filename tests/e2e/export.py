#!/usr/bin/env python3
"""finer-export on the tiny run: each format, from the run, its checkpoint and its adapter; the answers stay; what a user
gets wrong.

    export.py BIN"""
import harness
import shapes_world


def body(test):
    world = test.work / "runs" / "e2e"
    shapes_world.make(world)
    test.train()
    run = world / "run"
    ask = ["--image", world / "pictures" / "00.png", "--prompt", "What is it called?", "--max-new-tokens", "12"]
    _, answer, _ = test.run("finer-chat", "--adapter", run, *ask)

    def export(name, *arguments, code=0):
        found, out, err = test.run("finer-export", "--out", world / name, *arguments)
        test.check(found == code, f"{name}: exit code {found}, expected {code}: {err}")
        test.check(out == (f"{world / name}\n" if code == 0 else ""), f"{name}: stdout {out!r}")
        return err

    def chat(name, *arguments):
        code, out, err = test.run("finer-chat", *arguments, *ask)
        test.check(code == 0 and out == answer and not err, f"{name}: {code}, {out!r}, {err!r}, expected {answer!r}")

    err = export("merged", "--adapter", run, "--format", "merged-hf")
    test.check("merged into 14 layers; rounding to float32 changed" in err and "8 drawn prompts" in err, f"merged: {err}")
    chat("merged", "--model", world / "merged")
    export("checkpoint", "--adapter", run / "checkpoints" / "step-20", "--format", "merged-hf", "--prompts", "0")
    chat("checkpoint", "--model", world / "checkpoint")
    export("llava", "--adapter", run / "adapter", "--format", "llava")
    chat("llava", "--model", world / "llava", "--vision", world / "llava" / "vision_tower")
    export("peft", "--adapter", run / "checkpoints" / "step-20", "--format", "peft")
    (world / "peft" / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    chat("peft", "--adapter", world / "peft")
    # the way back: what was written is a base like any other
    export("back", "--model", world / "llava", "--vision", world / "llava" / "vision_tower", "--format", "merged-hf")
    chat("back", "--model", world / "back")

    err = export("merged", "--adapter", run, "--format", "merged-hf", code=2)
    test.check(sorted(p.name for p in world.iterdir() if "partial" in p.name) == [], "an export left its partial folder")
    test.check("is there already" in err and err.count("\n") == 1, f"a folder that is in use: {err!r}")
    err = export("x", "--adapter", run, "--format", "ggml", code=2)
    test.check("--format" in err and "merged-hf" in err, f"a format that is not there: {err!r}")
    # a checkpoint that was being written, and somebody's folder beside the new one
    torn = run / "checkpoints" / "step-20" / "COMPLETE"
    torn.unlink()
    for part in ("", "adapter"):
        err = export("x", "--adapter", torn.parent / part, "--format", "merged-hf", code=2)
        test.check("not complete" in err, f"a torn checkpoint: {err!r}")
    err = export("x", "--adapter", run, "--projector", "nowhere.bin", "--format", "merged-hf", code=2)
    test.check("nowhere.bin" in err, f"a projector that is not there: {err!r}")
    err = export("x", "--adapter", "nowhere", "--format", "peft", code=2)
    test.check("nowhere" in err, f"an adapter that is not there: {err!r}")
    err = export("x", "--format", "merged-hf", code=2)
    test.check("no model is named" in err, f"no model: {err!r}")
    test.check(not (world / "x").exists(), "a refused export left a folder")


if __name__ == "__main__":
    harness.main(body, __doc__)
