"""Trains the three small tokenizers of the tests. Made with sentencepiece 0.2.3.

    python tests/golden/text/make_tokenizer.py

llama.model    640 pieces with the options of LLaMA's: BPE, byte fallback, split digits, no normalisation, blanks kept
unigram.model  180 pieces of the other kind: unigram, unknown pieces, a table of characters to rewrite, runs of
               blanks made one
tiny.model     60 pieces, for the model of 64 embedding rows in tests/golden/model
"""

import io
import pathlib
import tempfile

import sentencepiece

HERE = pathlib.Path(__file__).parent

BIRDS = ["warbler", "blue jay", "rosella", "house sparrow", "painted bunting", "kingfisher"]
PLANES = ["Boeing 737-800", "Airbus A320", "Cessna 172", "Fokker 100", "DC-10"]
PARTS = ["crown", "wing bars", "curved bill", "engines under the wings", "pointed nose", "dorsal fillet"]
COLOURS = ["red", "olive green", "pale yellow", "slate grey", "white", "deep blue"]


def corpus():
    yield (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
        "helpful, detailed, and polite answers to the user's questions. USER: ASSISTANT:"
    )
    for i, name in enumerate(BIRDS + PLANES):
        part, colour = PARTS[i % len(PARTS)], COLOURS[i % len(COLOURS)]
        other = COLOURS[(i + 2) % len(COLOURS)]
        yield f"USER: What kind of thing is shown in this image? ASSISTANT: It is a {name}."
        yield f"USER: Describe its visible attributes. ASSISTANT: The {name} has a {colour} {part}."
        yield f"What is the exact name of the {colour} one with the {other} {part}?"
        yield f"This is known as a {name}; its {part} looks {other}, not {colour}."
        yield f"The {name} in the image exhibits {colour} and {other} near the {part} ({i * 37})."
    yield "Name three primary colours. Red, yellow and blue. And secondary ones? Orange, green, purple."
    yield "Oui, c\u2019est un geai bleu \u2014 d\u00e9j\u00e0 vu. \u00c7a va? Stra\u00dfe, \u00fcber, \u00e4rger."
    yield "    def f(x):\n        return x  # four and eight blanks\n\n\tand a tab"


def train(name, sentences=None, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences or corpus()), model_writer=model, num_threads=1, **options
    )
    (HERE / name).write_bytes(model.getvalue())


def main():
    train(
        "llama.model",
        model_type="bpe",
        vocab_size=640,
        character_coverage=0.9995,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
    )
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        # Full-width A, B, C to Latin; the ligature fi to two letters; the soft hyphen to nothing.
        rules.write("FF21\t41\nFF22\t42\nFF23\t43\nFB01\t66 69\nAD\t\n")
        rules.flush()
        train(
            "unigram.model", model_type="unigram", vocab_size=180, normalization_rule_tsv=rules.name
        )
    train("tiny.model", BIRDS + COLOURS, model_type="bpe", vocab_size=60, normalization_rule_name="identity")


if __name__ == "__main__":
    main()
