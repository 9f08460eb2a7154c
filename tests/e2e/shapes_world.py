#!/usr/bin/env python3
"""Draws the pictures of recipes/tiny/e2e.yaml and writes what is said about them. Needs nothing but Python.

    shapes_world.py OUT

OUT/pictures/*.png    coloured shapes on a grey ground, of several sizes and proportions
OUT/names.json        LLaVA JSON, 24 records: what is in the picture
OUT/talk.jsonl        JSONL, 10 records: two turns about a picture, or text alone
OUT/tokenizer.model   the 640 pieces of tests/golden/text/llama.model"""
import json
import shutil
import struct
import sys
import zlib
from pathlib import Path

TOKENIZER = Path(__file__).resolve().parents[1] / "golden" / "text" / "llama.model"
COLOURS = {"red": (205, 45, 40), "olive green": (110, 120, 40), "pale yellow": (240, 225, 120), "deep blue": (25, 45, 150)}
SHAPES = ("disc", "bar", "corner")
SIZES = ((40, 40), (64, 40), (30, 56))


def is_inside(shape, x, y):
    """x, y from -1 to 1 over the picture."""
    if shape == "disc":
        return x * x + y * y < 0.5
    if shape == "bar":
        return abs(y) < 0.3 and abs(x) < 0.8
    return x < -0.1 and y > 0.0 or abs(x + y) < 0.2


def png(width, height, pixel):
    """pixel(column, row) -> (red, green, blue)."""
    rows = b"".join(b"\0" + bytes(v for column in range(width) for v in pixel(column, row)) for row in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def draw(path, shape, colour, size, ground):
    width, height = size
    path.write_bytes(png(width, height, lambda column, row: colour if is_inside(
        shape, 2 * column / width - 1, 2 * row / height - 1) else (ground, ground, ground)))


def turns(*texts):
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def make(out):
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    names, talk = [], []
    for number in range(24):
        colour, shape = list(COLOURS)[number % 4], SHAPES[number % 3]
        file = f"{number:02d}.png"
        draw(pictures / file, shape, COLOURS[colour], SIZES[number // 8], 90 + 5 * number)
        names.append({"id": f"names-{number}", "image": file, "conversations": turns(
            "<image>\nWhat is shown in this image?", f"A {colour} {shape}.")})
        if number % 3 == 0:
            talk.append({"id": number, "image": file, "conversations": turns(
                "What is the exact name?\n<image>", f"It is a {shape}.", "And the colour?", f"It looks {colour}.")})
    talk.append({"id": "text-1", "conversations": turns("Name three primary colours.", "Red, yellow and blue.")})
    talk.append({"id": "text-2", "conversations": turns("And secondary ones?", "Orange, green, purple.")})
    (out / "names.json").write_text(json.dumps(names, indent=1) + "\n")
    (out / "talk.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in talk))
    shutil.copyfile(TOKENIZER, out / "tokenizer.model")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(Path(sys.argv[1]))
