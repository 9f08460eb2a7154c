"""Compares `finer-data pixels` with PIL + CLIPImageProcessor on real photographs.

    python tests/image/parity_stamps.py [--tool build/dev/bin/finer-data] [--stamps FOLDER] [--count 80]

The photographs are Debian's tuxpaint-stamps-default (cut-out, RGBA, of any shape), and JPEG, WebP, GIF, BMP,
TIFF and odd-shaped versions that this script makes of some of them. Prints the largest difference in
units of 1/255 and of the normalised values, a line a kind; exit code 1 when a pixel is off by more than 1/255.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from transformers import CLIPImageProcessor

MEAN = [0.48145466, 0.4578275, 0.40821073]


def versions(stamp, folder, index):
    """Files made of one photograph: how it is stored must not matter, nor its shape."""
    rgba = Image.open(stamp).convert("RGBA")
    rgb = rgba.convert("RGB")
    width, height = rgb.size
    exif = Image.Exif()
    exif[0x0112] = 1 + index % 8
    made = {
        "jpeg 4:2:0": ("jpg", rgb, {"quality": 75}),
        "jpeg 4:4:4": ("jpg", rgb, {"quality": 95, "subsampling": 0}),
        "jpeg 4:2:2 progressive": ("jpg", rgb, {"quality": 88, "subsampling": 1, "progressive": True}),
        "jpeg low quality": ("jpg", rgb, {"quality": 12}),
        "jpeg grey": ("jpg", rgb.convert("L"), {"quality": 85}),
        "jpeg cmyk": ("jpg", rgb.convert("CMYK"), {"quality": 90}),
        "jpeg with orientation": ("jpg", rgb, {"quality": 90, "exif": exif}),
        "jpeg strip": ("jpg", rgb.crop((0, height // 2, width, height // 2 + 1 + index % 3)), {"quality": 90}),
        "jpeg column": ("jpg", rgb.crop((width // 2, 0, width // 2 + 1 + index % 3, height)), {"quality": 90}),
        "jpeg small": ("jpg", rgb.resize((5 + index, 9 + index % 4)), {"quality": 90}),
        "jpeg large": ("jpg", rgb.resize((1500 + 7 * index, 1100 - 13 * index)), {"quality": 85}),
        "webp lossy": ("webp", rgba, {"quality": 80}),
        "webp lossless": ("webp", rgba, {"lossless": True}),
        "gif": ("gif", rgba, {}),
        "png palette": ("png", rgba.quantize(64), {}),
        "bmp": ("bmp", rgb, {}),
        "tiff lzw": ("tif", rgba, {"compression": "tiff_lzw"}),
        "tiff jpeg": ("tif", rgb, {"compression": "jpeg"}),
    }
    for number, (kind, (extension, image, options)) in enumerate(made.items()):
        path = folder / f"{index}_{number}.{extension}"
        image.save(path, **options)
        yield kind, path


def padded(image):
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(m * 255) for m in MEAN))
    square.paste(image, ((side - image.size[0]) // 2, (side - image.size[1]) // 2))
    return square


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tool", default=str(Path(__file__).parents[2] / "build/dev/bin/finer-data"))
    options.add_argument("--stamps", default="/usr/share/tuxpaint/stamps")
    options.add_argument("--count", type=int, default=80)
    options.add_argument("--versions-of", type=int, default=6)
    args = options.parse_args()

    stamps = sorted(Path(args.stamps).rglob("*.png"))
    random.Random(0).shuffle(stamps)
    stamps = stamps[: args.count]
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pictures = [("stamp", path) for path in stamps]
        for index, stamp in enumerate(stamps[: args.versions_of]):
            pictures += versions(stamp, folder, index)
        for side in (336, 112):
            clip = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
            model = folder / f"model{side}"
            model.mkdir()
            (model / "preprocessor_config.json").write_text(json.dumps(clip.to_dict()))
            for aspect in ("pad", "crop"):
                out = folder / f"{aspect}{side}.safetensors"
                command = [args.tool, "pixels", "--model", model, "--aspect", aspect, "--out", out]
                subprocess.run(command + [path for _, path in pictures], check=True)
                got = load_file(out)
                found = {}
                for number, (kind, path) in enumerate(pictures):
                    image = Image.open(path).convert("RGB")
                    image = padded(image) if aspect == "pad" else image
                    # Said, because transformers guesses it wrong for pictures of 1 or 3 rows.
                    values = clip(np.asarray(image), return_tensors="np", input_data_format="channels_last")
                    expected = values["pixel_values"][0]
                    ours = got[f"pixels.{number}"]
                    if ours.shape != expected.shape or ours.dtype != np.float32:
                        sys.exit(f"{path}: {ours.dtype} {ours.shape}, expected float32 {expected.shape}")
                    apart = np.abs(ours - expected)
                    levels = apart * np.array(clip.image_std, np.float32)[:, None, None] * 255
                    entry = found.setdefault(kind, [0, 0, 0.0, 0.0])
                    entry[0] += 1
                    entry[1] += int(np.array_equal(ours, expected))
                    entry[2] = max(entry[2], float(levels.max()))
                    entry[3] = max(entry[3], float(apart.max()))
                for kind, (count, equal, levels, values) in found.items():
                    print(f"{side} {aspect:4} {kind:24} {equal:3} of {count:3} bit-equal, "
                          f"largest difference {levels:.4f}/255, {values:.2e} normalised")
                    worst = max(worst, levels)
    print(f"largest difference of all: {worst:.4f}/255")
    sys.exit(0 if worst <= 1.001 else 1)


if __name__ == "__main__":
    main()
