"""Asks transformers' slow LlamaTokenizer (legacy=True) what it makes of texts and conversations.

    python tests/golden/text/make_golden.py

Writes texts.json (texts, ids, decoded texts, for several sets of config files) and conversations.json (ids and
labels by LLaVA-1.5's rules, with the mask found by counting tokens of pieces, as LLaVA finds it; so only with
texts where counting works). Made with transformers 4.57, sentencepiece 0.2.3, seed 0.
"""

import json
import pathlib
import random
import shutil
import tempfile

import transformers

HERE = pathlib.Path(__file__).parent
transformers.logging.set_verbosity_error()

SPECIAL = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}


def token(content, **flags):
    return {"content": content, **SPECIAL, **flags}


# name -> (model file, files beside it)
VARIANTS = {
    "bare": ("llama.model", None),
    "bare unigram": ("unigram.model", None),
    "vicuna": (
        "llama.model",
        {
            "tokenizer_config.json": {
                "tokenizer_class": "LlamaTokenizer",
                "add_bos_token": True,
                "bos_token": {"__type": "AddedToken", **token("<s>")},
                "eos_token": {"__type": "AddedToken", **token("</s>")},
                "unk_token": {"__type": "AddedToken", **token("<unk>")},
                "pad_token": None,
            },
            "special_tokens_map.json": {
                "bos_token": token("<s>"),
                "eos_token": token("</s>"),
                "unk_token": token("<unk>"),
                "pad_token": "<unk>",
            },
            "added_tokens.json": {"<pad>": 640},
        },
    ),
    "llava-hf": (
        "llama.model",
        {
            "tokenizer_config.json": {
                "tokenizer_class": "LlamaTokenizer",
                "add_prefix_space": None,
                "added_tokens_decoder": {
                    "0": token("<unk>"),
                    "1": token("<s>"),
                    "2": token("</s>"),
                    "640": token("<image>"),
                    "641": token("<pad>", special=False, normalized=True),
                },
                "bos_token": "<s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "pad_token": "<pad>",
                "extra_special_tokens": {"image_token": "<image>"},
            },
            # Not read when the table above is there.
            "added_tokens.json": {"<image>": 700, "user": 701},
            "special_tokens_map.json": {"eos_token": "<pad>"},
        },
    ),
    "special tokens without ids": (
        "llama.model",
        {
            "tokenizer_config.json": {
                "pad_token": "<pad>",
                "sep_token": "user",
                "bos_token": "<bos>",
                "mask_token": "</s>",
            },
        },
    ),
    "strip flags": (
        "llama.model",
        {
            "tokenizer_config.json": {
                "clean_up_tokenization_spaces": True,
                "added_tokens_decoder": {
                    "0": token("<unk>"),
                    "1": token("<s>", rstrip=True),
                    "2": token("</s>", lstrip=True),
                    "640": token("<extra_1>", special=False),
                    "641": token("<extra_100>", special=False, rstrip=True),
                    "642": token("<pad>", lstrip=True, rstrip=True),
                    "643": token("\n\n", special=False),
                    "644": token("<<", special=False),
                },
                "eos_token": "</s>",  # keeps its flags; "<s>", named nowhere, loses its own
                "additional_special_tokens": ["<pad>"],
            },
        },
    ),
    "special tokens map": (
        "llama.model",
        {
            "special_tokens_map.json": {
                "bos_token": "<s>",
                "eos_token": token("</s>", lstrip=True),
                "pad_token": token("<pad>", rstrip=True),
                "additional_special_tokens": ["<image>", token("<extra_1>", lstrip=True)],
            },
            "added_tokens.json": {"<pad>": 640, "<image>": 641, "bird": 642},
        },
    ),
    "tokenizer.json": (
        "llama.model",
        {
            "tokenizer.json": {
                "added_tokens": [
                    {"id": 0, **token("<unk>")},
                    {"id": 1, **token("<s>")},
                    {"id": 2, **token("</s>")},
                    {"id": 640, **token("<image>")},
                ]
            },
        },
    ),
    "unigram with added tokens": (
        "unigram.model",
        {"added_tokens.json": {"<image>": 180, "blue": 181}},
    ),
}

TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "\t",
    "a",
    " a",
    "a ",
    "   a   b   ",
    "What kind of bird is shown in this image?",
    "USER: <image>\nWhat's the name? ASSISTANT: It is a warbler.</s>USER: And? ASSISTANT: Red.</s>",
    "</s>",
    "<s>",
    "<s></s>",
    "<s> </s>",
    "a</s>b",
    "a </s> b",
    "a  </s>  b",
    "</s></s>",
    "<s>a<s>b<unk>c",
    "<unk><pad><image>",
    " <pad> ",
    "x\n<pad>\ny",
    "x\u3000<pad>\u2003y",
    "<image> <image>",
    "<image",
    "<<image>>",
    "</s",
    "< /s>",
    "<S>",
    "<extra_1><extra_100><extra_1>00",
    "<extra_100> right <extra_1> left",
    "a\n\n\nb\n\n</s>",
    "<bos>bird user birdsuser",
    "1234567890",
    "Boeing 737-800",
    "\u2581",
    "\u2581a\u2581\u2581b",
    "caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m",
    "\u84dd\u677e\u9e26 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4",
    "\U0001f426\U0001f469\u200d\U0001f52c\ufe0f",
    "\u0000",
    "a\u0000b",
    "\u0001\u0002\u001f\u007f\u0085",
    "\ufeffBOM",
    "\ufffd\uffff\U0010ffff",
    "\u00a0nbsp\u00a0",
    "\u2028line\u2029paragraph",
    "tab\tand\r\nnew line\v\f",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\uff21\uff22\uff23 of\ufb01ce so\u00adft",
    "ASSISTANT: USER:",
    "a . b ? c ! d , e ' f do n't I 'm it 's we 've they 're",
    "word " * 40,
    "x" * 60,
    " " * 40 + "x",
]

NUM_WITH_SPECIAL = TEXTS.index("1234567890")

BITS = [
    *["a", "b", "bird", "blue", "user", "USER:", " ASSISTANT: ", "the", "It is", ".", "?", "7", "<", ">", "/s>"],
    *[" ", "  ", "    ", "\n", "\n\n", "\t", "\r", "\u3000", "\u00a0", "\u2581", "\u0000", "\u0301"],
    *["</s>", "<s>", "<unk>", "<pad>", "<image>", "<extra_1>", "<extra_100>", "<bos>", "<<"],
    *["\u00e9", "\u2014", "\u84dd", "\U0001f426", "\ufffd", "\uff21", "\ufb01", "\u00ad"],
]


def random_texts(rng, count):
    return ["".join(rng.choices(BITS, k=rng.randint(1, 9))) for _ in range(count)]


def load(variant, folder):
    model, files = VARIANTS[variant]
    if files is None:
        return transformers.LlamaTokenizer(str(HERE / model), legacy=True)
    shutil.copy(HERE / model, folder / "tokenizer.model")
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return transformers.LlamaTokenizer.from_pretrained(str(folder), legacy=True)


def decoded(tokenizer, ids):
    """Ids with their text, and their text without special tokens where that is another."""
    full, bare = tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=True)
    return {"ids": ids, "decoded": full, **({"without_special": bare} if bare != full else {})}


def tokenizer_cases(rng):
    for variant, (model, files) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = load(variant, pathlib.Path(folder))
        texts = (TEXTS if files is None else TEXTS[:NUM_WITH_SPECIAL]) + random_texts(rng, 25)
        ids = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
        top = max([tokenizer.vocab_size - 1, *tokenizer.added_tokens_decoder])
        known = [i for i in range(top + 1) if i < tokenizer.vocab_size or i in tokenizer.added_tokens_decoder]
        rare = [i for i in known if i < 16 or i >= tokenizer.vocab_size]
        drawn = [rng.choices(known, k=5) + rng.choices(rare, k=2) for _ in range(15)]
        for sequence in drawn:
            rng.shuffle(sequence)
        yield {
            "name": variant,
            "model": model,
            "files": files,
            "bos_id": tokenizer.bos_token_id,
            "eos_id": tokenizer.eos_token_id,
            "vocab_size": top + 1,
            "texts": [{"text": text, **decoded(tokenizer, i)} for text, i in zip(texts, ids)],
            "drawn": [decoded(tokenizer, i) for i in drawn],
        }


IMAGE, IGNORE = -200, -100
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
ASK, ANSWER, END = "USER: ", " ASSISTANT: ", "</s>"


def with_pictures(tokenizer, text):
    """Ids of a text, BOS first; pieces between image marks are tokenised one by one, each without its BOS."""
    ids = [tokenizer.bos_token_id]
    for i, part in enumerate(text.split("<image>")):
        ids += [IMAGE] * (i > 0) + tokenizer(part).input_ids[1:]
    return ids


def mark_first(value):
    """The turn with its image mark moved to its front."""
    if "<image>" not in value:
        return value
    return ("<image>\n" + value.replace("<image>", "").strip()).strip()


def vicuna(tokenizer, turns):
    turns = turns[1:] if turns[0][0] == "gpt" else turns
    rounds = [
        ASK + mark_first(question) + ANSWER + answer
        for (_, question), (_, answer) in zip(turns[0::2], turns[1::2])
    ]
    rounds[0] = SYSTEM + " " + rounds[0]
    ids = with_pictures(tokenizer, "".join(one + END for one in rounds))
    labels = [IGNORE] * len(ids)
    at = 1
    for one in rounds:
        asked = one[: one.index(ANSWER) + len(ANSWER)]
        # Less BOS and the lone blank at the end, which in the whole belongs to the answer's first piece.
        start = at + len(with_pictures(tokenizer, asked)) - 2
        # BOS of the count stands for the round's </s>.
        at += len(with_pictures(tokenizer, one))
        labels[start:at] = ids[start:at]
    assert at == len(ids), turns
    return ids, labels


def plain(tokenizer, turns):
    ids = with_pictures(tokenizer, "<image>" + turns[1][1] + "\n")
    return ids, [IGNORE, IGNORE] + ids[2:]


def prompt(tokenizer, turns):
    text = SYSTEM + " "
    for role, value in turns:
        text += ASK + mark_first(value) + " ASSISTANT:" if role == "human" else " " + value + END
    return with_pictures(tokenizer, text)


QUESTIONS = [
    "What kind of bird is this?",
    "  Describe it.\n",
    "What's its exact name?\nAnswer shortly.",
    "\u00bfQu\u00e9 es \u2014 \U0001f426?",
    "Is it <blue> & red?\t(yes/no)",
    "x",
]
REPLIES = [
    "It is a warbler.",
    " a blank first and last ",
    "Both.\n\nWith\nnew lines.",
    "\n",
    " ",
    "  ",
    "\u84dd\u677e\u9e26",
    "Boeing 737-800",
    "Oui, c\u2019est un geai bleu: \u2713",
    "    four blanks",
]
MARKED = ["<image>\n{}", "{}\n<image>", "{} <image> and more", "<image>{}", "  <image>  {}", "<image>"]


def conversation_cases(rng, tokenizer):
    def case(kind, turns, has_image, result):
        ids, labels = result
        return {
            "kind": kind,
            "has_image": has_image,
            "turns": [{"from": role, "value": value} for role, value in turns],
            "input_ids": ids,
            "labels": labels,
        }

    for number in range(36):
        turns = []
        for _ in range(rng.randint(1, 3)):
            turns += [("human", rng.choice(QUESTIONS)), ("gpt", rng.choice(REPLIES))]
        has_image = number % 3 > 0
        if has_image:
            at = 2 * rng.randrange(len(turns) // 2)
            turns[at] = ("human", rng.choice(MARKED).format(turns[at][1]))
        if number % 7 == 6:
            turns.insert(0, ("gpt", "I am here first."))
        yield case("vicuna_v1", turns, has_image, vicuna(tokenizer, turns))
        if turns[0][0] == "human":
            yield case("prompt", turns[:-1], has_image, (prompt(tokenizer, turns[:-1]), []))
    for reply in REPLIES:
        turns = [("human", "<image>\nGive a caption."), ("gpt", reply)]
        yield case("plain", turns, True, plain(tokenizer, turns))


def write(name, content):
    text = json.dumps(content, separators=(",", ":")).replace('},{"', '},\n{"')
    (HERE / name).write_text(text + "\n")


def main():
    rng = random.Random(0)
    write("texts.json", {"cases": list(tokenizer_cases(rng))})
    bare = transformers.LlamaTokenizer(str(HERE / "llama.model"), legacy=True)
    write("conversations.json", {"cases": list(conversation_cases(rng, bare))})


if __name__ == "__main__":
    main()
