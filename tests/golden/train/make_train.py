#!/usr/bin/env python3
"""Writes tests/golden/train/*.safetensors: what torch and transformers make of optimizer, schedules and loss.

    python tests/golden/train/make_train.py      (torch 2.11.0, transformers 4.57)"""
import pathlib
import sys

import torch
import transformers
from transformers import (get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
                          get_linear_schedule_with_warmup)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "model"))
from make_model import samples, tiny_llava
from reference import Draw, save

VERSIONS = {"transformers": transformers.__version__}
STEPS = 6


def adamw():
    """Six steps over a matrix, a vector and a second group of another rate; gradients clipped to norm 1.5 from step 3."""
    draw = Draw()
    values = {"matrix": draw(5, 4), "vector": draw(7), "projector": draw(3, 3)}
    params = {name: torch.nn.Parameter(value.clone()) for name, value in values.items()}
    optimizer = torch.optim.AdamW([
        {"params": [params["matrix"]], "lr": 0.02, "weight_decay": 0.1},
        {"params": [params["vector"]], "lr": 0.02, "weight_decay": 0.0},
        {"params": [params["projector"]], "lr": 0.005, "weight_decay": 0.1}], betas=(0.9, 0.95), eps=1e-8)
    schedule = get_cosine_schedule_with_warmup(optimizer, 2, STEPS)
    out = {"start/" + name: value for name, value in values.items()}
    norms = []
    for step in range(STEPS):
        for name, param in params.items():
            param.grad = draw(*param.shape, scale=0.3 * (step + 1))
            out[f"grad{step}/{name}"] = param.grad.clone()
        norms.append(torch.nn.utils.clip_grad_norm_(params.values(), 1.5))
        optimizer.step()
        schedule.step()
        for name, param in params.items():
            out[f"after{step}/{name}"] = param.detach().clone()
    out["norms"] = torch.stack(norms)
    save("train/adamw.safetensors", out, **VERSIONS)


def muon():
    """Six steps of Muon over a wide, a tall and a square matrix: torch.optim.Muon's, its products in float32 (torch takes
    bfloat16, by Tensor.bfloat16)."""
    draw = Draw()
    values = {"wide": draw(4, 9), "tall": draw(10, 6), "square": draw(5, 5)}
    params = {name: torch.nn.Parameter(value.clone()) for name, value in values.items()}
    groups = [{"params": [params["wide"], params["tall"]], "lr": 0.02}, {"params": [params["square"]], "lr": 0.005}]
    optimizer = torch.optim.Muon(groups, lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    out = {"start/" + name: value for name, value in values.items()}
    rounded, torch.Tensor.bfloat16 = torch.Tensor.bfloat16, torch.Tensor.float
    for step in range(STEPS):
        for name, param in params.items():
            param.grad = draw(*param.shape, scale=0.3 * (step + 1))
            out[f"grad{step}/{name}"] = param.grad.clone()
        optimizer.step()
        for name, param in params.items():
            out[f"after{step}/{name}"] = param.detach().clone()
    torch.Tensor.bfloat16 = rounded
    save("train/muon.safetensors", out, **VERSIONS)


def schedules():
    out = {}
    for total, warmup in ((37, 4), (20, 0), (5, 1), (1, 1)):
        for name, make in (("cosine", get_cosine_schedule_with_warmup), ("linear", get_linear_schedule_with_warmup),
                           ("constant", lambda o, w, _: get_constant_schedule_with_warmup(o, w))):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
            schedule = make(optimizer, warmup, total)
            factors = []
            for _ in range(total + 3 if warmup < total else total):
                factors.append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
            out[f"{name}/{total}/{warmup}"] = torch.tensor(factors, dtype=torch.float64)
    save("train/schedules.safetensors", out, **VERSIONS)


def loss():
    draw = Draw()
    hidden, head = draw(11, 16).requires_grad_(True), draw(50, 16).requires_grad_(True)
    weights = draw(11).abs()
    targets = torch.randint(0, 50, (11,), generator=draw.generator)
    losses = torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="none")
    total = (losses * weights).sum()
    total.backward()
    save("train/loss.safetensors", {"hidden": hidden, "head": head, "weights": weights, "targets": targets,
                                    "loss": total, "d_hidden": hidden.grad, "d_head": head.grad}, **VERSIONS)


def full_gradients():
    """All gradients of the tiny LLaVA: mean loss over the targets of both samples, the vision tower training too."""
    model = tiny_llava()
    (picture, text), pixels = samples()
    total, count = 0.0, 0
    for ids, targets_from, images in ((picture, 8, {"pixel_values": pixels}), (text, 4, {})):
        logits = model(input_ids=ids[None], use_cache=False, **images).logits[0]
        targets = ids[targets_from:]
        total = total + torch.nn.functional.cross_entropy(logits[targets_from - 1:-1], targets, reduction="sum")
        count += len(targets)
    (total / count).backward()
    out = {"d_" + name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    out["loss"] = total / count
    save("train/full_gradients.safetensors", out, **VERSIONS)


adamw()
muon()
schedules()
loss()
full_gradients()
