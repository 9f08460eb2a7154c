#!/usr/bin/env python3
"""The small random LLaVA that learns the stamps, made by transformers as a llava-hf directory.

    make_model.py OUT

Decoder and encoder have 3.8 M parameters, embedding and head 16.4 M (32,064 rows of 256); a picture takes 16
positions. The weights are random and stay so: what is learned sits in the LoRA and the projector. The head is spread
wide enough (standard deviation of the logits 3) for a frozen one to be sure of a token."""
import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))
import layouts
import llava
from make_models import tokenizer_file

VISION = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4, image_size=64,
              patch_size=16)
TEXT = dict(hidden_size=256, intermediate_size=688, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=4,
            vocab_size=32064, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = llava.randomise(llava.build(VISION, TEXT), seed=0)
    layouts.write_hf(args.out, model, tokenizer_file())
    print(f"{args.out}: {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
