#!/usr/bin/env python3
"""The tiny recipe on a CUDA card: the CPU's losses in float32, 16-bit types near them, what is recomputed, killed or moved
to the CPU going on, the same answers of the programs that read. Skipped (77) where there is no card.

    cuda.py BIN"""
import json
import sys
import time

import harness
import shapes_world

EXPECTED = harness.ROOT / "tests" / "e2e" / "tiny_losses.txt"
CUDA = "device=cuda"


def gap(found, want):
    if len(found) != len(want):
        return float("inf")
    return max(abs(a - b) / b for a, b in zip(found, want))


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def has_card(test):
    code, _, err = test.run("finer-train", harness.RECIPE, CUDA, "--dry-run")
    if code == 2 and "device: cuda was asked for" in err:
        print(f"skipped: {err.strip()}")
        return False
    return test.check(code == 0, f"a dry run: exit code {code}, {err}")


def losses_of(test, name, *settings):
    test.train(CUDA, f"output={name}", *settings)
    return harness.losses(test.work / name)


def trains(test):
    """In float32 the CPU's run, with and without dropout."""
    plain = ("lora.dropout=0",)
    test.train("device=cpu", "output=cpu", *plain)
    cpu = harness.losses(test.work / "cpu")
    found = losses_of(test, "float32", *plain)
    test.check(gap(found, cpu) < 1e-4, f"float32: losses within {gap(found, cpu):.1e} of the CPU's, expected 1e-4")
    print(f"float32: losses within {gap(found, cpu):.1e} of the CPU's")
    peaks = {line["peak_bytes"] for line in metrics(test.work / "float32")}
    test.check(0 < max(peaks) < 1 << 30, f"the card's peak: {peaks}")

    again = losses_of(test, "again", *plain)
    adapters = [(test.work / run / "adapter" / "adapter_model.safetensors").read_bytes() for run in ("float32", "again")]
    test.check(adapters[0] == adapters[1], f"float32 twice: other bytes, losses within {gap(again, found):.1e}")

    recomputed = losses_of(test, "recomputed", *plain, "train.recompute=full")
    test.check(gap(recomputed, found) < 1e-5, f"recomputed: {gap(recomputed, found):.1e}")
    one_pass = losses_of(test, "one-pass", *plain, "batch.device_tokens=4000", "batch.share_prefix=false")
    test.check(gap(one_pass, found) < 1e-4, f"one pass a step: {gap(one_pass, found):.1e}")

    for dtype, bound in (("bfloat16", 5e-2), ("float16", 1e-2)):
        half = losses_of(test, dtype, *plain, f"model.dtype={dtype}")
        print(f"{dtype}: losses within {gap(half, cpu):.1e} of the CPU's in float32")
        test.check(gap(half, cpu) < bound, f"{dtype}: {gap(half, cpu):.1e}, expected {bound}: {half}")

    # the mask is a function of the element's place, the same on both
    want = [float(line) for line in EXPECTED.read_text().splitlines() if not line.startswith("#")]
    dropped = losses_of(test, "dropout")
    print(f"with dropout: losses within {gap(dropped, want):.1e} of {EXPECTED.name}")
    test.check(gap(dropped, want) < 1e-4, f"with dropout: {gap(dropped, want):.1e}, {dropped}")
    dropped_again = losses_of(test, "dropout-recomputed", "train.recompute=full")
    test.check(gap(dropped_again, dropped) < 1e-4, f"masks of what is recomputed: {gap(dropped_again, dropped):.1e}")

    muon = ("train.language=full", "lora=null", "optim.matrices=muon", "optim.lr=2e-3", "optim.projector_lr=1e-3")
    test.train("device=cpu", "output=muon-cpu", *muon)
    cpu, found = harness.losses(test.work / "muon-cpu"), losses_of(test, "muon", *muon)
    print(f"muon (bfloat16 there): losses within {gap(found, cpu):.1e} of the CPU's")
    test.check(gap(found, cpu) < 5e-2, f"muon: {gap(found, cpu):.1e}")


def goes_on(test):
    """Killed on the card, ended there or on the CPU."""
    settings = ("lora.dropout=0", "optim.steps=40", "checkpoint.every_steps=5")
    want = losses_of(test, "unbroken", *settings)
    for name, device in (("killed", CUDA), ("moved", "device=cpu")):
        run = test.work / name
        process = test.start("finer-train", harness.RECIPE, CUDA, f"output={name}", *settings)
        file = run / "metrics.jsonl"
        while process.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") < 12):
            time.sleep(0.001)
        test.check(process.poll() is None, f"{name}: it ended before it was killed")
        process.kill()
        process.communicate()
        err = test.train(device, f"output={name}", *settings)
        test.check("going on from" in err, f"{name}: did not go on: {err}")
        found = harness.losses(run)
        test.check(gap(found, want) < 1e-4, f"{name}: losses within {gap(found, want):.1e} of the unbroken run's")


def reads(test):
    """The programs that only read give on the card what they give on the CPU."""
    world, run = test.work / "runs" / "e2e", test.work / "float32"
    losses = {}
    for device in ("cpu", "cuda"):
        code, out, err = test.run("finer-eval", "loss", harness.RECIPE, f"device={device}", "--adapter", run / "adapter")
        test.check(code == 0, f"finer-eval loss on {device}: {err}")
        losses[device] = json.loads(out)["loss"] if code == 0 else float("nan")
    test.check(abs(losses["cuda"] / losses["cpu"] - 1) < 1e-5, f"finer-eval loss: {losses}")
    for picture in ("00", "05", "07"):
        answers = {}
        for device in ("cpu", "cuda"):
            code, answers[device], err = test.run("finer-chat", "--adapter", run, "--image", world / "pictures" / f"{picture}.png",
                                                  "--prompt", "What is it called?", "--max-new-tokens", "24", "--device", device)
            test.check(code == 0, f"finer-chat on {device}: {err}")
        test.check(answers["cpu"] == answers["cuda"], f"finer-chat: {answers}")
    # the same 16-bit adapter as 16-bit weights
    code, out, err = test.run("finer-chat", "--adapter", test.work / "bfloat16", "--image", world / "pictures" / "00.png",
                              "--prompt", "What is it called?", "--max-new-tokens", "24", "--device", "cuda", "--dtype", "bfloat16")
    test.check(code == 0 and out.strip(), f"finer-chat in bfloat16: exit code {code}, {err}")


def refuses(test):
    code, _, err = test.run("finer-train", harness.RECIPE, "device=cuda:100", "output=nowhere")
    test.check(code == 2 and "cuda:100" in err and "there" in err, f"a card that is not there: exit code {code}, {err}")
    # a card of a thousandth of the memory that is there, and of less: a pass, what trains, or the weights do not fit
    for fraction, part in (("0.001", "its largest pass has"), ("0.0003", "full outside of a step"), ("0.00001", "its weights in float32")):
        harness.ENVIRONMENT["PYTORCH_CUDA_ALLOC_CONF"] = f"per_process_memory_fraction:{fraction}"
        code, _, err = test.run("finer-train", harness.RECIPE, CUDA, f"output=full-{fraction}", "batch.device_tokens=100000",
                                "batch.samples=39", "batch.share_prefix=false", "model.from_scratch.language.mlp_width=4096")
        print(f"{fraction} of the memory: exit code {code}, {err.strip().splitlines()[-1] if err.strip() else ''}")
        test.check(code == 2 and part in err, f"memory full: exit code {code}, {err}")
    del harness.ENVIRONMENT["PYTORCH_CUDA_ALLOC_CONF"]


def ranks(test):
    """Two ranks need two cards; where there is one, that is said before NCCL hangs or fails."""
    code, _, err = test.run("finer-train", harness.RECIPE, CUDA, "output=two", "--ranks", "2")
    print(f"two ranks: exit code {code}, {err.strip().splitlines()[-1] if err.strip() else ''}")
    test.check(code == 0 or code == 2 and "the same card" in err, f"two ranks: exit code {code}, {err}")


def body(test):
    shapes_world.make(test.work / "runs" / "e2e")
    if not has_card(test):
        sys.exit(77 if test.failures == 0 else test.report())
    for part in (trains, goes_on, reads, refuses, ranks):
        part(test)
    test.train(CUDA, "output=profiled", "log.profile_step=3")
    text = (test.work / "profiled" / "profile" / "step-3.txt").read_text()
    test.check("kernel" in text or "gemm" in text, f"a profile without kernels: {text}")
    code, _, err = test.run("finer-train", harness.RECIPE, "device=auto", "output=auto")
    test.check(code == 0 and "device NVIDIA" in err, f"device=auto does not take the card: {err}")


if __name__ == "__main__":
    harness.main(body, __doc__)
