"""Model and samples that both sides of vs_peft train on."""
import json
import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "reference"))
import conversation
import layouts
import llava
from make_models import tokenizer_file
from samples import make_sample, write_set

VISION = dict(hidden_size=256, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=4, image_size=112,
              patch_size=14)
TEXT = dict(hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
            num_key_value_heads=8, vocab_size=32064, max_position_embeddings=2048, rms_norm_eps=1e-5,
            tie_word_embeddings=False)
POSITIONS = 64
RANK, ALPHA, LR, CLIP, WARMUP_RATIO = 16, 32.0, 2e-4, 1.0, 0.03

# equal: every sample has 118 tokens, so padding costs nothing.
# mixed: 45 to 400 tokens, most of them short, a quarter without a picture.
BATCH = {"equal": 4, "mixed": 8}
EQUAL_TOKENS, MIXED_TOKENS = 118, (45, 400)


def num_tokens(tokenizer, sample):
    ids = conversation.tokenize(tokenizer, sample)["input_ids"]
    return len(ids) + (POSITIONS - 1 if "image" in sample else 0)


def sample_of_length(rng, tokenizer, index, with_image, length, tolerance):
    """Draws until the length is met; both sides count the same tokens."""
    words = max(2, (length - (POSITIONS if with_image else 0) - 42) // 2)
    for _ in range(2000):
        sample = make_sample(rng, index, with_image, max(1, words // 3), max(1, words - words // 3))
        gap = num_tokens(tokenizer, sample) - length
        if abs(gap) <= tolerance:
            return sample
        words = max(2, words - (gap > 0) + (gap < 0))
    raise RuntimeError(f"no sample of {length} tokens")


def make_samples(scenario, count, tokenizer):
    rng = random.Random(17)
    out = []
    for index in range(count):
        with_image = scenario == "equal" or index % 4 != 3
        length = EQUAL_TOKENS
        if scenario == "mixed":
            low = max(MIXED_TOKENS[0], 110 if with_image else 0)
            length = int(low * (MIXED_TOKENS[1] / low) ** (rng.random() ** 2))
        out.append(sample_of_length(rng, tokenizer, index, with_image, length, 0 if scenario == "equal" else 4))
    if scenario == "mixed":  # in any order, or each batch would hold two text samples
        rng.shuffle(out)
    return out


def prepare(work, scenario, num_steps):
    """Returns (model directory, samples.json), made where they are missing."""
    model_dir, root = work / "model", work / f"{scenario}-{num_steps}"
    if not (model_dir / "config.json").exists():
        torch.manual_seed(0)
        layouts.write_hf(model_dir, llava.randomise(llava.build(VISION, TEXT), seed=1), tokenizer_file())
    if not (root / "samples.json").exists():
        tokenizer = conversation.load_tokenizer(model_dir)
        write_set(root, make_samples(scenario, num_steps * BATCH[scenario], tokenizer), seed=2)
    return model_dir, root / "samples.json"


def describe(samples, tokenizer):
    lengths = [num_tokens(tokenizer, sample) for sample in samples]
    return (f"{len(samples)} samples, {min(lengths)} to {max(lengths)} tokens, mean {sum(lengths) / len(lengths):.0f}, "
            f"{sum('image' not in sample for sample in samples)} without a picture")


def read(path):
    return json.loads(Path(path).read_text())
