"""The same weights in every layout finer reads. Each writer takes a model of llava.build and a folder."""
import json
import shutil
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig

import llava

VICUNA_VOCAB = 32000  # llava-hf adds <image>, <pad> and rows up to a multiple of 64


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2) + "\n")


def processor_of(model):
    side = model.config.vision_config.image_size
    return CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def write_tokenizer(folder, tokenizer_file, with_image_token=True):
    """The files beside tokenizer.model that llava-hf and Vicuna directories have."""
    shutil.copyfile(tokenizer_file, folder / "tokenizer.model")
    special = lambda text: {"content": text, "lstrip": False, "normalized": False, "rstrip": False,
                            "single_word": False, "special": True}
    added = {"0": special("<unk>"), "1": special("<s>"), "2": special("</s>")}
    if with_image_token:
        added |= {"32000": special("<image>"), "32001": special("<pad>")}
        write_json(folder / "added_tokens.json", {"<image>": 32000, "<pad>": 32001})
    write_json(folder / "tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": added, "bos_token": "<s>",
        "clean_up_tokenization_spaces": False, "eos_token": "</s>", "legacy": True, "model_max_length": 4096,
        "pad_token": "<pad>" if with_image_token else "<unk>", "padding_side": "right", "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>"})
    write_json(folder / "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                                                    "pad_token": "<pad>" if with_image_token else "<unk>"})


def write_preprocessor(folder, model):
    processor_of(model).save_pretrained(folder)


def save_sharded(folder, tensors, suffix, max_bytes, as_parameters=False):
    """suffix: safetensors | bin. One file without an index when everything fits.
    as_parameters: every second tensor of a .bin is a torch.nn.Parameter, as some trainers left them."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    shards, size = [{}], 0
    for name, tensor in tensors.items():
        num_bytes = tensor.numel() * tensor.element_size()
        if shards[-1] and size + num_bytes > max_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.detach().clone().contiguous()
        size += num_bytes
    names = [f"{stem}.{suffix}" if len(shards) == 1 else f"{stem}-{i + 1:05d}-of-{len(shards):05d}.{suffix}"
             for i in range(len(shards))]
    for name, shard in zip(names, shards):
        if suffix == "safetensors":
            save_file(shard, str(folder / name), metadata={"format": "pt"})
        else:
            if as_parameters:
                shard = {key: torch.nn.Parameter(value) if number % 2 and value.is_floating_point() else value
                         for number, (key, value) in enumerate(shard.items())}
            torch.save(OrderedDict(shard), folder / name)
    if len(shards) > 1:
        total = sum(t.numel() * t.element_size() for shard in shards for t in shard.values())
        write_json(folder / f"{stem}.{suffix}.index.json", {
            "metadata": {"total_size": total},
            "weight_map": {key: name for name, shard in zip(names, shards) for key in shard}})


def state_of(model):
    """Parameters in the names of transformers 4.52 and newer; a tied head once."""
    state = dict(model.state_dict())
    if model.config.text_config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    return state


def renamed(state, pairs):
    """Each key through the first prefix that fits."""
    out = {}
    for key, value in state.items():
        for old, new in pairs:
            if key.startswith(old):
                key = new + key[len(old):]
                break
        out[key] = value
    return out


OLD = [("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
       ("model.vision_tower.", "vision_tower."), ("model.multi_modal_projector.", "multi_modal_projector.")]
FLAT = [("model.vision_tower.vision_model.", "model.vision_tower.")]


def prepare(folder, model, tokenizer_file):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, tokenizer_file)
    write_preprocessor(folder, model)
    return folder


def write_hf(folder, model, tokenizer_file):
    """As the installed transformers saves it; what the reference is loaded from."""
    folder = prepare(folder, model, tokenizer_file)
    model.save_pretrained(folder)


def write_hf_old(folder, model, tokenizer_file):
    """transformers 4.36: old names, defaults left out of the config, rope_theta and rope_scaling.type."""
    folder = prepare(folder, model, tokenizer_file)
    text, vision = model.config.text_config.to_dict(), model.config.vision_config.to_dict()
    kept = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "max_position_embeddings", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "vocab_size", "head_dim"]
    text_config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
                   **{key: text[key] for key in kept}}
    if text_config["rope_theta"] == 10000.0:
        del text_config["rope_theta"]
    if text_config["head_dim"] * text_config["num_attention_heads"] == text_config["hidden_size"]:
        del text_config["head_dim"]
    if text_config["num_key_value_heads"] == text_config["num_attention_heads"]:
        del text_config["num_key_value_heads"]
    if text.get("rope_scaling"):
        scaling = dict(text["rope_scaling"])
        scaling["type"] = scaling.pop("rope_type")
        text_config["rope_scaling"] = scaling
    write_json(folder / "config.json", {
        "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100, "image_token_index": 32000,
        "model_type": "llava", "pad_token_id": 32001, "projector_hidden_act": "gelu", "text_config": text_config,
        "tie_word_embeddings": text["tie_word_embeddings"], "torch_dtype": "float32",
        "transformers_version": "4.36.0.dev0",
        "vision_config": {key: vision[key] for key in (
            "hidden_size", "image_size", "intermediate_size", "model_type", "num_attention_heads",
            "num_hidden_layers", "patch_size", "projection_dim")} | {"vocab_size": 32000},
        "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "vocab_size": text["vocab_size"]})
    state = renamed(state_of(model), OLD)
    # a buffer that old CLIP checkpoints carry
    positions = state["vision_tower.vision_model.embeddings.position_embedding.weight"].shape[0]
    state["vision_tower.vision_model.embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    save_sharded(folder, state, "safetensors", 1 << 40)


def new_config(model):
    config = model.config.to_dict()
    config.pop("finer_reference_projector", None)
    text = config["text_config"]
    scaling = text.pop("rope_scaling", None) or {"rope_type": "default"}
    text["rope_parameters"] = {"rope_theta": text.pop("rope_theta"), **scaling}
    config["image_token_id"] = config.pop("image_token_index", None) or config["image_token_id"]
    config["dtype"] = text["dtype"] = config["vision_config"]["dtype"] = "float32"
    config.pop("torch_dtype", None)
    config["transformers_version"] = "5.0.0"
    return config


def write_hf_new(folder, model, tokenizer_file, flat_vision=False):
    """transformers 5: new names, rope_parameters and dtype, the preprocessor inside processor_config.json."""
    folder = prepare(folder, model, tokenizer_file)
    write_json(folder / "config.json", new_config(model))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    write_json(folder / "processor_config.json", {
        "image_processor": settings, "image_token": "<image>", "num_additional_image_tokens": 1,
        "patch_size": model.config.vision_config.patch_size, "processor_class": "LlavaProcessor",
        "vision_feature_select_strategy": "default"})
    state = state_of(model)
    save_sharded(folder, renamed(state, FLAT) if flat_vision else state, "safetensors", 1 << 40)


def write_hf_sharded(folder, model, tokenizer_file, max_shard="6MB"):
    folder = prepare(folder, model, tokenizer_file)
    model.save_pretrained(folder, max_shard_size=max_shard)


def write_hf_bin(folder, model, tokenizer_file, max_bytes=6 << 20):
    """.bin shards of torch.save, tensors and parameters mixed."""
    folder = prepare(folder, model, tokenizer_file)
    model.config.save_pretrained(folder)
    save_sharded(folder, renamed(state_of(model), OLD), "bin", max_bytes, as_parameters=True)


def llama_state(model, vocab=VICUNA_VOCAB):
    state = renamed({key: value for key, value in state_of(model).items()
                     if "vision_tower" not in key and llava.PROJECTOR not in key}, [("model.language_model.", "model.")])
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        if key in state:
            state[key] = state[key][:vocab]
    # the rotary buffer that LLaMA checkpoints before transformers 4.32 carry
    text = model.config.text_config
    for layer in range(text.num_hidden_layers):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = 1.0 / (
            text.rope_theta ** (torch.arange(0, text.head_dim, 2).float() / text.head_dim))
    return state


def projector_state(model, prefix="model.mm_projector."):
    """LLaVA's names: 0 and 2 of a Sequential, or the one layer itself."""
    names = {"linear_1": "0.", "linear_2": "2.", "linear": ""}
    out = {}
    for key, value in model.model.multi_modal_projector.state_dict().items():
        layer, kind = key.split(".")
        out[prefix + names[layer] + kind] = value
    return out


def llama_config(model, vocab=VICUNA_VOCAB):
    text = model.config.text_config.to_dict()
    kept = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "tie_word_embeddings",
            "hidden_act"]
    if text["head_dim"] * text["num_attention_heads"] != text["hidden_size"]:
        kept.append("head_dim")
    return {"architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
            "model_type": "llama", **{key: text[key] for key in kept}, "torch_dtype": "float32", "use_cache": True,
            "transformers_version": "4.31.0", "vocab_size": vocab}


def write_clip(folder, model, suffix="bin"):
    """A whole CLIP: its text half is there too, and is to be left alone."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    clip = CLIPModel(CLIPConfig(
        text_config=CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                                   vocab_size=99, projection_dim=32).to_dict(),
        vision_config=model.config.vision_config.to_dict() | {"projection_dim": 32}, projection_dim=32))
    clip.vision_model.load_state_dict(model.model.vision_tower.vision_model.state_dict())
    clip.config.save_pretrained(folder)
    write_preprocessor(folder, model)
    state = dict(clip.state_dict())
    positions = state["vision_model.embeddings.position_embedding.weight"].shape[0]
    state["vision_model.embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    save_sharded(folder, state, suffix, 1 << 40)


def projector_kind(model):
    return getattr(model.config, "finer_reference_projector", "mlp2x_gelu")


def write_original(folder, model, tokenizer_file, clip_name="openai/clip-vit-large-patch14-336", suffix="bin",
                   max_bytes=6 << 20):
    """liuhaotian's layout; the picture half lies in a CLIP directory of its own."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, tokenizer_file, with_image_token=False)
    write_json(folder / "config.json", llama_config(model) | {
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", "mm_vision_tower": clip_name,
        "mm_hidden_size": model.config.vision_config.hidden_size, "mm_projector_type": projector_kind(model),
        "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch", "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False, "use_mm_proj": True, "tune_mm_mlp_adapter": False,
        "tune_mm_vision_resampler": False, "freeze_mm_mlp_adapter": False, "unfreeze_mm_vision_tower": False,
        "mm_resampler_type": None, "image_aspect_ratio": "pad", "image_grid_pinpoints": None})
    save_sharded(folder, llama_state(model) | projector_state(model), suffix, max_bytes)


def write_llama(folder, model, tokenizer_file, suffix="bin", max_bytes=6 << 20):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, tokenizer_file, with_image_token=False)
    write_json(folder / "config.json", llama_config(model))
    save_sharded(folder, llama_state(model), suffix, max_bytes)


def write_projector(file, model):
    """What LLaVA's pretraining leaves behind."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.clone() for key, value in projector_state(model).items()}
    if file.suffix == ".bin":
        torch.save(state, file)
    else:
        save_file(state, str(file), metadata={"format": "pt"})
