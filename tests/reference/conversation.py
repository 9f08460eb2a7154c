"""LLaVA conversations to ids and labels, the way the published weights were trained: LLaVA-1.5's Vicuna
template and the slow Llama tokenizer of transformers in legacy mode, a second time and from outside."""
import json
from pathlib import Path

from transformers import LlamaTokenizer

IMAGE = -200
IGNORE = -100
SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.")


def load_tokenizer(path):
    """path: a model directory or a SentencePiece file."""
    path = Path(path)
    file = path / "tokenizer.model" if path.is_dir() else path
    return LlamaTokenizer(vocab_file=str(file), legacy=True, add_bos_token=True, add_eos_token=False)


def encode(tokenizer, text):
    """Ids with BOS; each <image> becomes one -200. The text around it is encoded piece by piece."""
    ids = []
    for number, part in enumerate(text.split("<image>")):
        if number:
            ids.append(IMAGE)
        piece = tokenizer(part).input_ids
        ids.extend(piece if number == 0 else piece[1:])
    return ids


def turns_of(sample):
    """(question, answer) pairs with the picture mark moved to the front of its turn; an open last question
    has the answer None."""
    values = []
    for turn in sample["conversations"]:
        text = turn["value"]
        if "<image>" in text:
            text = ("<image>\n" + text.replace("<image>", "").strip()).strip()
        values.append(text)
    if len(values) % 2:
        values.append(None)
    return list(zip(values[::2], values[1::2]))


def prompt_of(sample):
    text = SYSTEM + " "
    for question, answer in turns_of(sample):
        text += "USER: " + question + " ASSISTANT:"
        text += "" if answer is None else " " + answer + "</s>"
    return text


def tokenize(tokenizer, sample):
    """ids and labels of one sample. The targets are found as LLaVA finds them: a round is what ends at
    "</s>", and of a round everything up to the blank after "ASSISTANT:" is masked."""
    ids = encode(tokenizer, prompt_of(sample))
    labels = list(ids)
    labels[0] = IGNORE
    at = 1
    lead = SYSTEM + " "
    for question, answer in turns_of(sample):
        asked = lead + "USER: " + question + " ASSISTANT: "
        lead = ""
        num_round = len(encode(tokenizer, asked + answer))  # BOS stands in for the </s> that ends it
        num_asked = len(encode(tokenizer, asked)) - 2       # less BOS and the lone blank at the end
        labels[at:at + num_asked] = [IGNORE] * num_asked
        at += num_round
    assert at == len(ids), (sample.get("id"), at, len(ids))
    return {"id": sample["id"], **({"image": sample["image"]} if "image" in sample else {}),
            "input_ids": ids, "labels": labels}


def read_samples(path):
    text = Path(path).read_text()
    return json.loads(text) if text.lstrip().startswith("[") else [json.loads(l) for l in text.splitlines() if l]


def write_tokens(path, rows):
    with open(path, "w") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
