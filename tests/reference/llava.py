"""The reference model: LlavaForConditionalGeneration of transformers, with PEFT on request."""
import json
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from conversation import IGNORE, IMAGE

LORA_TARGETS = r".*language_model.*\.({})"
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PROJECTOR = "multi_modal_projector"
IMAGE_ID = 32000


class LinearProjector(nn.Module):
    """LLaVA's `linear` projector, which LlavaForConditionalGeneration has no setting for."""

    def __init__(self, width_in, width_out):
        super().__init__()
        self.linear = nn.Linear(width_in, width_out)

    def forward(self, features):
        return self.linear(features)


def build(vision, text, projector="mlp2x_gelu"):
    """vision, text: settings of CLIPVisionConfig and LlamaConfig."""
    vision_config = CLIPVisionConfig(projection_dim=vision["hidden_size"], **vision)
    config = LlavaConfig(vision_config=vision_config.to_dict(), text_config=LlamaConfig(**text).to_dict(),
                         image_token_index=IMAGE_ID, projector_hidden_act="gelu", vision_feature_layer=-2,
                         vision_feature_select_strategy="default",
                         image_seq_length=(vision["image_size"] // vision["patch_size"]) ** 2,
                         tie_word_embeddings=text.get("tie_word_embeddings", False))
    model = LlavaForConditionalGeneration(config).to(torch.float32).eval()
    if projector == "linear":
        model.model.multi_modal_projector = LinearProjector(vision["hidden_size"], text["hidden_size"])
        model.config.finer_reference_projector = "linear"
    return model


def randomise(model, seed, logit_std=3.0):
    """Weights that leave nothing flat: every bias and norm counts, the logits spread by about `logit_std`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("bias"):
                weight.copy_(0.1 * noise)
            elif "norm" in name or "layrnorm" in name:
                weight.copy_(1.0 + 0.2 * noise)
            elif "embed_tokens" in name:
                tied = model.config.text_config.tie_word_embeddings
                weight.copy_(noise * (logit_std / weight.shape[1] ** 0.5 if tied else 0.5))
            elif "lm_head" in name:
                weight.copy_(noise * logit_std / weight.shape[1] ** 0.5)
            elif "embedding" in name:
                weight.copy_(noise * (0.5 if weight.dim() < 4 else weight[0].numel() ** -0.5))
            else:
                weight.copy_(noise * weight.shape[1] ** -0.5)
    return model


def load_base(model_dir):
    """Reads a directory written by save_pretrained, the linear projector of make_models included."""
    model_dir = Path(model_dir)
    settings = json.loads((model_dir / "config.json").read_text())
    if settings.get("finer_reference_projector") != "linear":
        model = LlavaForConditionalGeneration.from_pretrained(model_dir, dtype=torch.float32,
                                                              attn_implementation="sdpa")
        return model.eval()
    from safetensors.torch import load_file
    config = LlavaConfig.from_pretrained(model_dir)
    model = LlavaForConditionalGeneration(config).to(torch.float32)
    model.model.multi_modal_projector = LinearProjector(config.vision_config.hidden_size,
                                                        config.text_config.hidden_size)
    model.load_state_dict(load_file(model_dir / "reference.safetensors"), strict=True)
    return model.eval()


def load(model_dir, adapter=None):
    model = load_base(model_dir)
    if adapter is None:
        return model
    from peft import PeftModel
    return PeftModel.from_pretrained(model, adapter).eval()


def with_lora(model, rank, alpha, targets=ALL_LINEAR, projector=True, dropout=0.0):
    from peft import LoraConfig, get_peft_model
    return get_peft_model(model, LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, bias="none", task_type="CAUSAL_LM",
        target_modules=LORA_TARGETS.format("|".join(targets)),
        modules_to_save=[PROJECTOR] if projector else None))


def image_positions(model):
    vision = model.config.vision_config
    return (vision.image_size // vision.patch_size) ** 2


def widen(ids, labels, positions):
    """One -200 becomes `positions` image ids without a target."""
    wide_ids, wide_labels = [], []
    for token, label in zip(ids, labels):
        if token == IMAGE:
            wide_ids += [IMAGE_ID] * positions
            wide_labels += [IGNORE] * positions
        else:
            wide_ids.append(token)
            wide_labels.append(label)
    return wide_ids, wide_labels


def collate(rows, positions):
    """rows: dicts with input_ids, labels and, where there is a picture, pixels. Padded to the right."""
    wide = [widen(row["input_ids"], row["labels"], positions) for row in rows]
    longest = max(len(ids) for ids, _ in wide)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORE, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for number, (row_ids, row_labels) in enumerate(wide):
        ids[number, :len(row_ids)] = torch.tensor(row_ids)
        labels[number, :len(row_ids)] = torch.tensor(row_labels)
        mask[number, :len(row_ids)] = 1
    batch = {"input_ids": ids, "attention_mask": mask}
    pixels = [row["pixels"] for row in rows if row.get("pixels") is not None]
    if pixels:
        batch["pixel_values"] = torch.stack(pixels)
    return batch, labels


def loss_sum(model, batch, labels):
    """Sum of the token losses, and their number. labels are not shifted. The head is left out where no row of the
    batch has a target: it is most of the work of a small model."""
    targets_ST = labels[:, 1:]
    columns = (targets_ST != IGNORE).any(0).nonzero().flatten()
    logits = model(**batch, use_cache=False, logits_to_keep=columns).logits
    targets = targets_ST[:, columns].reshape(-1)
    kept = targets != IGNORE
    picked = logits.reshape(-1, logits.shape[-1])[kept].float()
    return nn.functional.cross_entropy(picked, targets[kept], reduction="sum"), int(kept.sum())
