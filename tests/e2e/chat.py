#!/usr/bin/env python3
"""finer-chat on the tiny run: a run, its checkpoint and its adapter without naming the model; one question and a
conversation; Ctrl-C; what a user gets wrong.

    chat.py BIN"""
import signal
import subprocess

import harness
import shapes_world


def converse(test, lines, *arguments):
    """Returns exit code, stdout, stderr of a conversation over standard input."""
    done = subprocess.run([test.bin / "finer-chat", *map(str, arguments)], input="".join(x + "\n" for x in lines).encode(),
                          cwd=test.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.ENVIRONMENT, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def body(test):
    world = test.work / "runs" / "e2e"
    shapes_world.make(world)
    test.train()
    run, picture, other = world / "run", world / "pictures" / "00.png", world / "pictures" / "05.png"
    ask = ["--image", picture, "--prompt", "What is it called?", "--max-new-tokens", "12"]
    answers = {}
    for name in ("run", "run/adapter", "run/checkpoints/step-20", "run/checkpoints/step-20/adapter"):
        code, answers[name], err = test.run("finer-chat", "--adapter", world / name, *ask)
        test.check(code == 0 and not err and answers[name].strip(), f"{name}: exit code {code}, {err}")
    test.check(len(set(answers.values())) == 1, f"one run, several answers: {answers}")
    answer = answers["run"]

    # another base of the same shape: said, and asked all the same
    test.train("train.language=full", "train.vision=lora", "lora.targets=[vision_tower.**.q_proj]", "output=runs/e2e/full")
    code, out, err = test.run("finer-chat", "--model", world / "full" / "model", "--adapter", run, *ask)
    test.check(code == 0 and out and "run/adapter: was trained on another base" in err and err.count("\n") == 1,
               f"an adapter on another base: exit code {code}, {out!r}, {err!r}")
    for seed in (3, 4):  # of the base's weights
        err = test.train(f"seed={seed}", f"lora.init_from={run}/adapter", f"output=runs/e2e/from-{seed}", "optim.steps=1")
        test.check(("lora.init_from: " in err and "was trained on another base" in err) == (seed == 4), f"seed {seed}: {err}")

    # a conversation: the answer stays the same, and after /reset, and a refused line changes nothing
    chat = ["--adapter", run, "--max-new-tokens", "12"]
    code, out, err = converse(test, ["/image nowhere.png", f"/image {picture}", "What is it called?", "/reset",
                                     "What is it called?", "/wrong", "/quit", "never asked"], *chat)
    test.check(code == 0 and out == 2 * answer, f"conversation: exit code {code}, {out!r}, expected {answer!r} twice")
    test.check("nowhere.png" in err and "/image FILE" in err, f"conversation: stderr {err!r}")
    code, out, _ = converse(test, ["What is it called?", "And its colour?"], *chat, "--image", picture)
    test.check(code == 0 and out.startswith(answer) and len(out) > len(answer), f"two turns, end of input: {code}, {out!r}")
    code, out, _ = converse(test, [f"/image {other}", "What is it called?", f"/image {picture}", "What is it called?"], *chat)
    test.check(out.endswith(answer), f"another picture begins a conversation anew: {out!r}, expected {answer!r} last")

    draws = [test.run("finer-chat", "--adapter", run, *ask, "--temperature", "2", "--seed", seed)[1] for seed in (1, 1, 2)]
    test.check(draws[0] == draws[1] != draws[2], f"draws depend on the seed alone: {draws}")

    process = test.start("finer-chat", "--adapter", run, "--image", picture, "--prompt", "Talk.", "--temperature", "50",
                         "--max-new-tokens", "300")
    first = process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    test.check(process.returncode == 130 and (first + rest).endswith("\n"), f"Ctrl-C: exit code {process.returncode}, {err}")

    wrong = {
        ("--adapter", run, "--image", "nowhere.png", "--prompt", "x"): "nowhere.png: No such file",
        ("--adapter", run, "--image", run / "recipe.yaml", "--prompt", "x"): "recipe.yaml",
        ("--adapter", "nowhere", "--prompt", "x"): "nowhere",
        ("--model", "nowhere", "--prompt", "x"): "nowhere",
        ("--prompt", "x"): "no model is named",
        ("--adapter", run, "--prompt", " "): "--prompt: is empty",
        ("--adapter", run, "--prompt", "x", "--dtype", "int4"): "dtype \"int4\" is unknown",
        ("--adapter", run, "--prompt", "word " * 600): "more than the model's 512 positions",
        ("--adapter", run, "--prompt", "see <image>"): "<image>",
        ("--adapter", run, "--prompt", "x", "--top-p", "0"): "--top-p",
    }
    for arguments, part in wrong.items():
        code, out, err = test.run("finer-chat", *arguments)
        test.check(code == 2 and part in err and not out and len(err.strip().splitlines()) <= 2,
                   f"{' '.join(map(str, arguments))[:80]}: exit code {code}, {err!r}, expected {part!r}")


if __name__ == "__main__":
    harness.main(body, __doc__)
