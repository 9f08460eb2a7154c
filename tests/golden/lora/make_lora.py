#!/usr/bin/env python3
"""Writes tests/golden/lora/: adapters that PEFT made for the tiny LLaVA, and the logits and gradients it gets with them.

    python tests/golden/lora/make_lora.py      (torch 2.11.0, transformers 4.57, peft 0.21)"""
import json
import pathlib
import sys

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "model"))
from make_model import logits_of, samples, tiny_llava
from reference import ROOT, SEED, Draw, save

VERSIONS = {"transformers": transformers.__version__, "peft": peft.__version__}
LANGUAGE = r".*language_model.*\.({})"
ADAPTERS = {
    # every layer, projector along
    "full": dict(r=3, lora_alpha=6, modules_to_save=["multi_modal_projector"],
                 target_modules=LANGUAGE.format("q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj")),
    # some layers, ranks and alphas of their own, alpha / sqrt(rank)
    "patterns": dict(r=4, lora_alpha=5, use_rslora=True, target_modules=LANGUAGE.format("q_proj|v_proj|down_proj"),
                     rank_pattern={r"layers\.1\.self_attn\.v_proj": 2, "down_proj": 1},
                     alpha_pattern={r"layers\.0\.self_attn\.q_proj": 9}),
    # vision tower too
    "vision": dict(r=2, lora_alpha=4, target_modules=r".*(language_model.*\.q_proj|vision_tower.*\.(v_proj|fc1))"),
}


def adapter(name, **settings):
    torch.manual_seed(SEED)  # PEFT draws A
    model = get_peft_model(tiny_llava(), LoraConfig(bias="none", task_type="CAUSAL_LM", **settings)).eval()
    draw = Draw(21)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            if weight.requires_grad:
                weight.add_(draw(*weight.shape, scale=0.1 if "lora_" in key else 0.02))
    folder = ROOT / "lora" / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "tiny"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    assert (folder / "adapter_model.safetensors").stat().st_size < 100_000

    with_picture, without = logits_of(model)
    out = {"picture.logits": with_picture, "text.logits": without}
    (picture, _), pixels = samples()
    loss = torch.log_softmax(model(input_ids=picture[None], pixel_values=pixels, use_cache=False).logits[0], -1)
    (-loss[7:-1].gather(1, picture[8:, None]).sum()).backward()
    for key, weight in model.named_parameters():
        if weight.grad is not None:  # PEFT adapts the tower's last layer too, whose features nobody uses
            out["d_" + key.replace(".default", "").replace("modules_to_save.", "")] = weight.grad
    save(f"lora/{name}.safetensors", out, **VERSIONS)


for name, settings in ADAPTERS.items():
    adapter(name, **settings)
