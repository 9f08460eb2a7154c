#!/usr/bin/env python3
"""Writes a made iNaturalist train.json of the official file's shape and size: every key the official file has, folders of
the official length, file names that are UUIDs.

    records.py DIR [--annotations N] [--classes N] [--order official|mixed] [--pictures]

mixed: ids in no order, categories behind the annotations. --pictures also makes every picture as an empty file."""
import argparse
import json
import random
from pathlib import Path

RANKS = ["kingdom", "phylum", "class", "order", "family", "genus"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--annotations", type=int, default=2_686_843)  # as the official train.json has
    parser.add_argument("--classes", type=int, default=10_000)
    parser.add_argument("--order", choices=["official", "mixed"], default="mixed")
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args()
    rng = random.Random(4)
    options.dir.mkdir(parents=True, exist_ok=True)

    categories, folders = [], []
    for number in range(options.classes):
        ranks = {rank: f"{rank.capitalize()}{number % (7 * 4 ** at) :05d}" for at, rank in enumerate(RANKS)}
        epithet = f"epithetus{number:05d}"
        folder = f"{number:05d}_" + "_".join([*ranks.values(), epithet])
        folders.append(folder)
        categories.append({"id": number, "name": f"{ranks['genus']} {epithet}", "common_name": f"Common Thing of {number}",
                           "supercategory": f"Supercategory {number % 11}", **ranks, "specific_epithet": epithet,
                           "image_dir_name": folder})
    families = {category["family"]: [category["family"].lower()] for category in categories}
    (options.dir / "coarse-classes-family.json").write_text(json.dumps(families))

    ids = list(range(options.annotations))
    of_class = [number * options.classes // options.annotations for number in ids]
    order = list(ids)
    if options.order == "mixed":
        rng.shuffle(ids)
        rng.shuffle(order)
    if options.pictures:
        for folder in folders:
            (options.dir / "train" / folder).mkdir(parents=True, exist_ok=True)
    with open(options.dir / "train.json", "w") as out:
        out.write('{"info": {"year": 2021, "version": "1.0", "description": "made"}, "images": [')
        for at, number in enumerate(ids):
            bits = f"{rng.getrandbits(128):032x}"
            name = f"train/{folders[of_class[number]]}/{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}.jpg"
            out.write(f'{", " if at else ""}{{"id": {number}, "width": 500, "height": 375, "file_name": "{name}", "license": 0, '
                      f'"rights_holder": "Somebody {number % 9973}", "date": "2015-07-05 00:00:00+00:00", '
                      f'"latitude": {number % 90}.1234, "longitude": -{number % 180}.5678, "location_uncertainty": 77}}')
            if options.pictures:
                open(options.dir / name, "w").close()
        parts = {"categories": json.dumps(categories)}
        text = ["]"]
        if options.order == "official":
            text.append(f', "categories": {parts["categories"]}')
        text.append(', "annotations": [')
        out.write("".join(text))
        for at, number in enumerate(order):
            out.write(f'{", " if at else ""}{{"id": {at}, "image_id": {number}, "category_id": {of_class[number]}}}')
        out.write("]" + (f', "categories": {parts["categories"]}' if options.order == "mixed" else "") + ', "licenses": []}')


if __name__ == "__main__":
    main()
