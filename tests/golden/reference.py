"""What the make_*.py scripts share: drawn tensors, and files that say what made them."""
import pathlib

import safetensors.torch
import torch

ROOT = pathlib.Path(__file__).parent
SEED = 20240221


class Draw:
    """Normal numbers of one seed, float32."""

    def __init__(self, seed=SEED):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape, scale=1.0, around=0.0):
        return around + scale * torch.randn(*shape, generator=self.generator)

    def fill(self, module):
        """Weights that leave nothing flat: every bias and norm counts."""
        with torch.no_grad():
            for name, weight in sorted(module.named_parameters()):
                if name.endswith("bias"):
                    weight.copy_(self(*weight.shape, scale=0.1))
                elif "norm" in name or "layrnorm" in name or weight.dim() == 1:
                    weight.copy_(self(*weight.shape, scale=0.2, around=1.0))
                else:
                    weight.copy_(self(*weight.shape, scale=weight[0].numel() ** -0.5))
        return module.eval()


def save(name, tensors, **versions):
    """tests/golden/NAME, below 100 KB; versions: of the libraries that answered."""
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    made_by = " ".join(f"{key}=={value}" for key, value in {"torch": torch.__version__, **versions}.items())
    safetensors.torch.save_file(tensors, str(path), metadata={"made_by": f"{made_by}, seed {SEED}"})
    assert path.stat().st_size < 100_000, (name, path.stat().st_size)
    print(name, path.stat().st_size)
