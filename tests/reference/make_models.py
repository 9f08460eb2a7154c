#!/usr/bin/env python3
"""Small random LLaVAs in every layout finer reads.

    make_models.py OUT [--shapes A B C]

OUT/A/hf is the reference's own directory; the others hold the same weights (layouts.py), and OUT/A/layouts.json
says how finer is pointed at each. Originals and three parts have Vicuna's 32,000 rows instead of 32,064."""
import argparse
import json
from pathlib import Path

import torch

import layouts
import llava


def tokenizer_file():
    import mistral_common
    return Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"


VOCAB = dict(vocab_size=32064, max_position_embeddings=2048)
SHAPES = {
    # every head its own keys; two-layer projector; untied head; norm eps as LLaMA 2
    "A": dict(seed=11, projector="mlp2x_gelu",
              vision=dict(hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
                          image_size=56, patch_size=14),
              text=dict(hidden_size=128, intermediate_size=344, num_hidden_layers=3, num_attention_heads=4,
                        num_key_value_heads=4, rms_norm_eps=1e-5, tie_word_embeddings=False, **VOCAB)),
    # grouped queries, head size of its own, LLaMA 3's rotary scaling, tied head, another picture size
    "B": dict(seed=12, projector="mlp2x_gelu",
              vision=dict(hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=3,
                          image_size=84, patch_size=12),
              text=dict(hidden_size=96, intermediate_size=200, num_hidden_layers=2, num_attention_heads=6,
                        num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-6, rope_theta=500000.0,
                        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                          original_max_position_embeddings=64),
                        tie_word_embeddings=True, **VOCAB)),
    # linear rotary scaling, one-layer projector: only the original layout can say so
    "C": dict(seed=13, projector="linear",
              vision=dict(hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2,
                          image_size=56, patch_size=14),
              text=dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=8,
                        num_key_value_heads=4, rms_norm_eps=1e-5, rope_scaling=dict(rope_type="linear", factor=4.0),
                        tie_word_embeddings=False, **VOCAB)),
}


def make(out, shape):
    tokenizer = tokenizer_file()
    settings = SHAPES[shape]
    torch.manual_seed(settings["seed"])
    model = llava.randomise(llava.build(settings["vision"], settings["text"], settings["projector"]),
                            settings["seed"])
    root = out / shape
    found = {}  # layout -> finer's `model:` section, relative to root
    if settings["projector"] == "linear":
        layouts.prepare(root / "hf", model, tokenizer)
        model.config.save_pretrained(root / "hf")
        layouts.save_file({k: v.contiguous() for k, v in model.state_dict().items()},
                          str(root / "hf" / "reference.safetensors"))
    else:
        writers = {"hf": layouts.write_hf, "hf-old": layouts.write_hf_old, "hf-new": layouts.write_hf_new,
                   "hf-new-flat": lambda *a: layouts.write_hf_new(*a, flat_vision=True),
                   "hf-sharded": layouts.write_hf_sharded, "hf-bin": layouts.write_hf_bin}
        for name, write in writers.items():
            write(root / name, model, tokenizer)
            found[name] = {"llava": name}
    layouts.write_clip(root / "clip-bin", model, "bin")
    layouts.write_clip(root / "clip", model, "safetensors")
    # the path in mm_vision_tower may be a directory; the published name is not, and `vision:` says where it is
    layouts.write_original(root / "original-bin", model, tokenizer)
    layouts.write_original(root / "original", model, tokenizer, suffix="safetensors")
    layouts.write_llama(root / "llama-bin", model, tokenizer, "bin")
    layouts.write_llama(root / "llama", model, tokenizer, "safetensors", 1 << 40)
    layouts.write_projector(root / "mm_projector.bin", model)
    layouts.write_projector(root / "mm_projector.safetensors", model)
    found["original-bin"] = {"llava": "original-bin", "vision": "clip-bin"}
    found["original"] = {"llava": "original", "vision": "clip"}
    found["parts-bin"] = {"language": "llama-bin", "vision": "clip-bin", "projector": "mm_projector.bin"}
    found["parts"] = {"language": "llama", "vision": "clip", "projector": "mm_projector.safetensors"}
    layouts.write_json(root / "layouts.json", found)
    print(f"{root}: {sum(p.numel() for p in model.parameters()):,} parameters, {', '.join(found)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--shapes", nargs="+", default=sorted(SHAPES), choices=sorted(SHAPES))
    args = parser.parse_args()
    for shape in args.shapes:
        make(args.out, shape)


if __name__ == "__main__":
    main()
