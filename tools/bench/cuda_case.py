"""Model and samples of the bench `cuda`: LLaVA-1.5's own sizes with drawn weights, made where they are measured."""
import json
import random
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference"))

LARGE_VISION = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
                    patch_size=14)
SIZES = {
    "tiny": (dict(hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2, image_size=56, patch_size=14),
             dict(hidden_size=128, intermediate_size=344, num_hidden_layers=3, num_attention_heads=2)),
    "1b": (LARGE_VISION, dict(hidden_size=2048, intermediate_size=5504, num_hidden_layers=22, num_attention_heads=16)),
    "7b": (LARGE_VISION, dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)),
    "13b": (LARGE_VISION, dict(hidden_size=5120, intermediate_size=13824, num_hidden_layers=40, num_attention_heads=40)),
}
RANK, ALPHA, LR, WARMUP_RATIO, CLIP = 128, 256, 2e-4, 0.03, 1.0
WORDS = "the a bird shape red blue yellow green small large bar disc corner with and of is it looks shown name".split()


def make_model(folder, size, device, tokenizer):
    """A llava-hf directory in bfloat16: names and shapes from the transformers that is installed, values drawn on the device."""
    from concurrent.futures import ThreadPoolExecutor
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
    vision, text = SIZES[size]
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(projection_dim=vision["hidden_size"], **vision),
        text_config=LlamaConfig(vocab_size=32064, max_position_embeddings=4096, rms_norm_eps=1e-5, tie_word_embeddings=False, **text),
        image_token_index=32000, projector_hidden_act="gelu", vision_feature_layer=-2, vision_feature_select_strategy="default",
        image_seq_length=(vision["image_size"] // vision["patch_size"]) ** 2, tie_word_embeddings=False)
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures, config.dtype = ["LlavaForConditionalGeneration"], "bfloat16"
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in LlavaForConditionalGeneration(config).named_parameters()}
    torch.manual_seed(0)

    def drawn(name, shape):
        if name.endswith("bias"):
            return torch.zeros(shape, dtype=torch.bfloat16)
        if len(shape) == 1 and "embedding" not in name:
            return torch.ones(shape, dtype=torch.bfloat16)
        return (torch.randn(shape, device=device) * 0.02).to(torch.bfloat16).cpu()

    num_shards = 8 if size != "tiny" else 1
    names = [list(shapes)[at::num_shards] for at in range(num_shards)]
    files = [f"model-{at + 1:05d}-of-{num_shards:05d}.safetensors" for at in range(num_shards)]

    def write(at):
        save_file({name: drawn(name, shapes[name]) for name in names[at]}, str(folder / files[at]), metadata={"format": "pt"})

    with ThreadPoolExecutor(num_shards) as pool:
        list(pool.map(write, range(num_shards)))
    (folder / "model.safetensors.index.json").write_text(json.dumps({
        "metadata": {}, "weight_map": {name: file for part, file in zip(names, files) for name in part}}))
    shutil.copyfile(tokenizer, folder / "tokenizer.model")
    side = vision["image_size"]
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "CLIPImageProcessor", "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True,
        "do_resize": True, "crop_size": {"height": side, "width": side}, "size": {"shortest_edge": side}, "resample": 3,
        "rescale_factor": 1 / 255, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}))


def default_tokenizer():
    """32,000 pieces, as LLaMA's: those of the package mistral-common, which tools/reference_env installs."""
    import mistral_common
    return Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"


def make_samples(folder, count, num_pictures=48):
    """samples.json: three quarters with a picture of 500 x 375, texts of 60 to 500 tokens, most of them short."""
    from pictures import draw_picture
    rng = random.Random(1)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for number in range(num_pictures):
        draw_picture(folder / "pictures" / f"{number:04d}.jpg", number, 500, 375)
    say = lambda words: " ".join(rng.choice(WORDS) for _ in range(words))
    samples = []
    for number in range(count):
        words = int(8 * 16 ** (rng.random() ** 1.5))
        with_picture = number % 4 != 3
        question = ("<image>\n" if with_picture else "") + say(3 + words // 4) + "?"
        sample = {"id": str(number), "conversations": [{"from": "human", "value": question},
                                                       {"from": "gpt", "value": say(words) + "."}]}
        if with_picture:
            sample["image"] = f"pictures/{number % num_pictures:04d}.jpg"
        samples.append(sample)
    rng.shuffle(samples)
    (folder / "samples.json").write_text(json.dumps(samples))
    return folder / "samples.json"
