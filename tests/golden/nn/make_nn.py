#!/usr/bin/env python3
"""Writes tests/golden/nn/*.safetensors: what transformers' LLaMA layers answer.

    python tests/golden/nn/make_nn.py      (torch 2.11.0, transformers 4.57)"""
import pathlib
import sys

import torch
import transformers
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama as llama

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from reference import Draw, save

VERSIONS = {"transformers": transformers.__version__}
LENGTHS = [5, 1, 9]  # sequences of one packed row


def config(**changes):
    settings = dict(hidden_size=24, intermediate_size=40, num_attention_heads=4, num_key_value_heads=4,
                    num_hidden_layers=1, vocab_size=8, max_position_embeddings=8192, rms_norm_eps=1e-5,
                    attn_implementation="eager")
    return LlamaConfig(**(settings | changes))


def with_gradients(module, x, run, prefix=""):
    """Input, output, the output's gradient (drawn), and the gradients of input and weights."""
    x = x.clone().requires_grad_(True)
    y = run(x)
    dy = Draw(9)(*y.shape)
    y.backward(dy)
    out = {"x": x, "y": y, "dy": dy, "dx": x.grad}
    for name, weight in module.named_parameters():
        out[name] = weight
        out["d_" + name] = weight.grad
    return {prefix + key: value for key, value in out.items()}


def norm():
    draw = Draw()
    module = draw.fill(llama.LlamaRMSNorm(24, eps=1e-5))
    x = draw(7, 24)
    x[3] *= 1e-3  # eps counts
    save("nn/norm.safetensors", with_gradients(module, x, module), **VERSIONS)


def rope():
    positions = torch.tensor([0, 1, 2, 7, 40, 63, 4095, 5000])
    q = Draw()(len(positions), 3, 16)
    out = {"positions": positions, "q": q}
    kinds = {"none": dict(rope_theta=10000.0),
             "linear": dict(rope_theta=10000.0, rope_scaling=dict(rope_type="linear", factor=4.0)),
             "llama3": dict(rope_theta=500000.0,
                            rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                              high_freq_factor=4.0, original_max_position_embeddings=512))}
    for kind, settings in kinds.items():
        embedding = llama.LlamaRotaryEmbedding(config(head_dim=16, **settings))
        cos, sin = embedding(q, positions[None])
        out[kind + ".cos"], out[kind + ".sin"] = cos[0, :, :8], sin[0, :, :8]
        rotated, _ = llama.apply_rotary_pos_emb(q.transpose(0, 1)[None], q.transpose(0, 1)[None], cos, sin)
        out[kind + ".rotated"] = rotated[0].transpose(0, 1)
    save("nn/rope.safetensors", out, **VERSIONS)


def attention(name, **changes):
    settings = config(**changes)
    draw = Draw()
    module = draw.fill(llama.LlamaAttention(settings, 0))
    embedding = llama.LlamaRotaryEmbedding(settings)

    def run(x_TD):
        out = []
        for x in x_TD.split(LENGTHS):
            positions = torch.arange(len(x))[None]
            mask = torch.full((len(x), len(x)), float("-inf")).triu(1)[None, None]
            out.append(module(x[None], embedding(x[None], positions), mask)[0][0])
        return torch.cat(out)

    save(f"nn/{name}.safetensors", with_gradients(module, draw(sum(LENGTHS), 24), run), **VERSIONS)


def mlp():
    draw = Draw()
    module = draw.fill(llama.LlamaMLP(config()))
    save("nn/mlp.safetensors", with_gradients(module, draw(7, 24), module), **VERSIONS)


norm()
rope()
attention("attention")
attention("attention_grouped", num_attention_heads=6, num_key_value_heads=2, head_dim=8)
mlp()
