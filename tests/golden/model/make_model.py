#!/usr/bin/env python3
"""Writes tests/golden/model/: a LLaVA of 16,000 parameters as a llava-hf directory, and what transformers makes of it.

    python tests/golden/model/make_model.py      (torch 2.11.0, transformers 4.57)"""
import json
import pathlib
import sys

import torch
import transformers
from torch import nn
from transformers import (CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlavaConfig,
                          LlavaForConditionalGeneration)
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from reference import ROOT, SEED, Draw, save

VERSIONS = {"transformers": transformers.__version__}
IMAGE_ID, POSITIONS = 63, 4
VISION = dict(hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, image_size=8,
              patch_size=4, projection_dim=12)
TEXT = dict(vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=6, max_position_embeddings=128, rms_norm_eps=1e-5,
            tie_word_embeddings=False)


def tiny_llava():
    config = LlavaConfig(vision_config=CLIPVisionConfig(**VISION).to_dict(), text_config=LlamaConfig(**TEXT).to_dict(),
                         image_token_index=IMAGE_ID, projector_hidden_act="gelu", vision_feature_layer=-2,
                         vision_feature_select_strategy="default", image_seq_length=POSITIONS)
    return Draw().fill(LlavaForConditionalGeneration(config).to(torch.float32))


def samples():
    """Two rows of ids, the first with a picture, and the picture's normalised pixels."""
    picture = [1, 5, 9] + [IMAGE_ID] * POSITIONS + [12, 40, 33, 8, 2]
    text = [1, 7, 7, 30, 62, 11, 2]
    return [torch.tensor(picture), torch.tensor(text)], Draw(3)(1, 3, 8, 8)


def logits_of(model):
    (picture, text), pixels = samples()
    with torch.no_grad():
        return (model(input_ids=picture[None], pixel_values=pixels, use_cache=False).logits[0],
                model(input_ids=text[None], use_cache=False).logits[0])


def llava():
    model = tiny_llava()
    folder = ROOT / "model" / "llava"
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    assert (folder / "model.safetensors").stat().st_size < 100_000
    (picture, text), pixels = samples()
    with_picture, without = logits_of(model)
    save("model/logits.safetensors", {"picture.ids": picture, "picture.pixels": pixels, "picture.logits": with_picture,
                                      "text.ids": text, "text.logits": without}, **VERSIONS)


def clip():
    out = {}
    pixels = Draw(3)(2, 3, 8, 8)
    for activation in ("quick_gelu", "gelu"):
        model = Draw().fill(CLIPVisionModel(CLIPVisionConfig(**VISION, hidden_act=activation)))
        with torch.no_grad():
            states = model(pixels, output_hidden_states=True).hidden_states
        out[activation + ".second_last"] = states[-2][:, 1:]
        if activation == "quick_gelu":
            out |= dict(model.named_parameters())
            out |= {"pixels": pixels, "last": states[-1], "first": states[1], "embeddings": states[0]}
    save("model/clip.safetensors", out, **VERSIONS)


def projector():
    draw = Draw()
    features = draw(2, 4, 12)
    module = draw.fill(LlavaMultiModalProjector(tiny_llava().config))
    linear = draw.fill(nn.Linear(12, 24))
    with torch.no_grad():
        out = {"features": features, "mlp2x_gelu": module(features), "linear": linear(features)}
    out |= {"mlp2x_gelu." + name: weight for name, weight in module.named_parameters()}
    out |= {"linear.linear_1." + name: weight for name, weight in linear.named_parameters()}
    save("model/projector.safetensors", out, **VERSIONS)


if __name__ == "__main__":
    llava()
    clip()
    projector()
