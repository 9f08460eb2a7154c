"""Writes tests/golden/io/ with torch 2.11.0 and safetensors 0.8.0: python tests/io/make_fixtures.py

What the C++ reader must make of the .bin files stands beside them as safetensors, contiguous.
"""

import collections
import pathlib

import safetensors.torch
import torch

OUT = pathlib.Path(__file__).parent.parent / "golden" / "io"


def dtypes():
    base = torch.tensor([[0, 1, -2], [3.5, -0.25, 100]])
    tensors = {str(d).removeprefix("torch."): base.to(d) for d in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8)}
    tensors["uint8"] = torch.tensor([0, 1, 255], dtype=torch.uint8)
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["scalar"] = torch.tensor(-1.5)
    tensors["empty"] = torch.zeros(0, 3, dtype=torch.bfloat16)
    tensors['odd "name"\n\u00e9'] = torch.tensor([7], dtype=torch.int64)
    return tensors


def contiguous(tensors):
    return {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(5, 4)
        self.head = torch.nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.norm = torch.nn.BatchNorm1d(4)


def state_dict():
    """What published .bin files hold, and what they may hold: ties, views, parameters, strides."""
    state = Tied().state_dict()  # an OrderedDict with an attribute, _metadata
    big = torch.randn(6, 7)
    state["transposed"] = torch.nn.Parameter(big.t())
    state["row"] = big[2]
    state["column"] = big[:, 3]
    state["bf16"] = torch.nn.Parameter(torch.randn(3, 2).bfloat16(), requires_grad=False)
    state["half"] = torch.randn(4).half()
    state["double"] = torch.randn(2).double()
    state["int32"] = torch.tensor([1, -2], dtype=torch.int32)
    state["int16"] = torch.tensor([1, -2], dtype=torch.int16)
    state["int8"] = torch.tensor([1, -2], dtype=torch.int8)
    state["uint8"] = torch.tensor([1, 254], dtype=torch.uint8)
    state["bool"] = torch.tensor([[True], [False]])
    state["empty"] = torch.zeros(0, 3)
    state["scalar"] = torch.tensor(2.5)
    return state


def main():
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(dtypes(), OUT / "dtypes.safetensors", metadata={"format": "pt"})
    safetensors.torch.save_file(
        {"fp8": torch.ones(2).to(torch.float8_e4m3fn), "plain": torch.ones(2)}, OUT / "fp8.safetensors")

    state = state_dict()
    torch.save(state, OUT / "state_dict.bin")
    safetensors.torch.save_file(contiguous(state), OUT / "state_dict.safetensors")
    torch.save(dict(state), OUT / "protocol4.bin", pickle_protocol=4)

    small = collections.OrderedDict(weight=torch.arange(6.0).reshape(2, 3), bias=torch.arange(2.0))
    extras = {"epoch": 3, "lr": 0.1, "large": 2**80, "minus": -70000, "names": ["a", "b"], "none": None,
              "done": True, "shape": torch.Size([2, 3]), "tuple": (1, 2, 3, 4)}
    torch.save({**extras, "state_dict": small}, OUT / "nested_state_dict.bin")
    torch.save({"model": {**small, "step": 7}, "optimizer": {"state": {0: torch.ones(1)}}},
               OUT / "nested_model.bin")
    torch.save(extras, OUT / "no_tensors.bin")
    torch.save(small, OUT / "before_1_6.bin", _use_new_zipfile_serialization=False)
    torch.save({"c": torch.ones(2, dtype=torch.complex64)}, OUT / "complex.bin")
    torch.save({"e": torch.ones(1).expand(1000)}, OUT / "expanded.bin")
    torch.save([torch.ones(1)], OUT / "list.bin")


if __name__ == "__main__":
    main()
