"""Pixels as LLaVA-1.5 sees them (PIL + CLIPImageProcessor), and drawn pictures to test with."""
import random

import torch
from PIL import Image, ImageDraw
from transformers import CLIPImageProcessor


def load_processor(model_dir):
    return CLIPImageProcessor.from_pretrained(model_dir)


def pad_to_square(picture, colour):
    """The picture in the middle of a square of one colour; an odd rest goes right or below."""
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def pixels_of(path, processor, aspect="pad"):
    """[3, H, W] float32, normalised."""
    picture = Image.open(path).convert("RGB")
    if aspect == "pad":
        picture = pad_to_square(picture, tuple(int(m * 255) for m in processor.image_mean))
    return processor(picture, return_tensors="pt")["pixel_values"][0].to(torch.float32)


def draw_picture(path, seed, width, height, mode="RGB"):
    """Random shapes on a gradient: no two seeds look alike, and no file is needed from outside."""
    rng = random.Random(seed)
    colour = lambda: tuple(rng.randrange(256) for _ in range(3))
    top, bottom = colour(), colour()
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        t = y / max(1, height - 1)
        draw.line([(0, y), (width, y)], fill=tuple(round(a + (b - a) * t) for a, b in zip(top, bottom)))
    for _ in range(rng.randint(3, 7)):
        x, y = rng.randrange(width), rng.randrange(height)
        w, h = rng.randint(4, max(5, width // 2)), rng.randint(4, max(5, height // 2))
        shape = rng.choice([draw.ellipse, draw.rectangle])
        shape([x - w // 2, y - h // 2, x + w // 2, y + h // 2], fill=colour())
    picture.convert(mode).save(path)
