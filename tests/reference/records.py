#!/usr/bin/env python3
"""finer-data records on miniatures of the official layouts: every file byte for byte against a second reading of the
layouts in Python, and label by label against torchvision's FGVCAircraft, StanfordCars and INaturalist.

    records.py [WORK]     WORK keeps the layouts and records (default: a folder that is removed)"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import scipy.io
from torchvision import datasets

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "readers"))
import finer_program  # noqa: E402
import make_layouts  # noqa: E402

failures = 0


def check(good, what):
    global failures
    print(("ok      " if good else "FAILED  ") + what)
    failures += not good


# The expected records, read a second time: whole files into dictionaries, no shared code with finer.

def record(idx, high, coarse, fine, path, metadata):
    return {"idx": idx, "basic-level-lbl": high, "coarse-level-lbl": coarse, "fine-level-lbl": fine, "img_path": path,
            "metadata": metadata}


def table(path):
    """First word -> rest of the line."""
    return dict(line.strip().split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def coarse_names(root):
    return {int(number): [name.strip() for name in names.split(",")]
            for number, names in table(root / "coarse-classes.txt").items()}


def plain(number):
    number = float(number)
    return int(number) if number == int(number) else number


def box(text):
    return [plain(side) for side in text.split()]


def inaturalist(root, split):
    document = json.loads((root / ("train.json" if split == "train" else "val.json")).read_text(encoding="utf-8"))
    families = json.loads((root / "coarse-classes-family.json").read_text())
    paths = {image["id"]: image["file_name"] for image in document["images"]}
    kinds = {kind["id"]: kind for kind in document["categories"]}
    ranks = ["kingdom", "phylum", "class", "order", "family", "genus", "specific_epithet"]
    for idx, annotation in enumerate(document["annotations"]):
        kind = kinds[annotation["category_id"]]
        yield record(idx, kind["supercategory"], families.get(kind["family"], []),
                     [name for name in (kind["name"], kind["common_name"]) if name], paths[annotation["image_id"]],
                     {"class": kind["id"], "taxonomy": {rank: kind[rank] for rank in ranks}})


def aircraft(root, split):
    data, split = root / "data", "trainval" if split == "train" else "test"
    levels = {level: table(data / f"images_{level}_{split}.txt") for level in ("variant", "family", "manufacturer")}
    boxes = table(data / "images_box.txt")
    numbers = {name: at for at, name in enumerate((data / "variants.txt").read_text().splitlines(), 1)}
    for idx, (name, variant) in enumerate(levels["variant"].items()):
        fine = list(dict.fromkeys([levels["family"][name], variant]))
        yield record(idx, "Airplane", [levels["manufacturer"][name]], fine, f"data/images/{name}.jpg",
                     {"class": numbers[variant], "box_xyxy": box(boxes[name])})


def cub(root, split):
    labels, splits, boxes = (table(root / f"{name}.txt") for name in
                             ("image_class_labels", "train_test_split", "bounding_boxes"))
    names, coarse = table(root / "classes.txt"), coarse_names(root)
    listed = [(i, path) for i, path in table(root / "images.txt").items() if (splits[i] == "1") == (split == "train")]
    for idx, (i, path) in enumerate(listed):
        yield record(idx, "Bird", coarse.get(int(labels[i]), []), [names[labels[i]].split(".", 1)[1].replace("_", " ")],
                     f"images/{path}", {"class": int(labels[i]), "box_xywh": box(boxes[i])})


def dogs(root, split):
    mat = scipy.io.loadmat(root / f"{split}_list.mat", squeeze_me=True)
    coarse = coarse_names(root)
    for idx, (path, label) in enumerate(zip(mat["file_list"], mat["labels"])):
        wordnet, breed = path.split("/")[0].split("-", 1)
        yield record(idx, "Dog", coarse.get(int(label), []), [breed.replace("_", " ")], f"Images/{path}",
                     {"class": int(label), "wordnet": wordnet})


def cars(root, split):
    names = [str(cell[0]) for cell in scipy.io.loadmat(root / "devkit/cars_meta.mat")["class_names"][0]]
    path = "devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat"
    coarse = coarse_names(root)
    for idx, car in enumerate(scipy.io.loadmat(root / path)["annotations"][0]):
        number = int(car["class"].item())
        body = re.search(r"(?<!\S)(sedan|suv|coupe|convertible|pickup|hatchback|van)(?!\S)", names[number - 1], re.I)
        label = [body[1].lower().replace("suv", "SUV")] if body else coarse.get(number, [])
        yield record(idx, "Car", label, [names[number - 1]], f"cars_{split}/{car['fname'].item()}",
                     {"class": number, "box_xyxy": [int(car[f"bbox_{side}"].item()) for side in ("x1", "y1", "x2", "y2")]})


def nabirds(root, split):
    labels, splits, boxes, names, parents = (
        table(root / f"{name}.txt") for name in
        ("image_class_labels", "train_test_split", "bounding_boxes", "classes", "hierarchy"))
    listed = [(i, path) for i, path in table(root / "images.txt").items() if (splits[i] == "1") == (split == "train")]
    for idx, (i, path) in enumerate(listed):
        number = labels[i]
        species = names[number].split(" (")[0]
        line = []
        while number in parents:
            number = parents[number]
            line.append(names[number])
        above = next(name for name in line if name.split(" (")[0] != species)
        coarse = [name for name in re.split(r",\s*(?:and\s+)?|\s+and\s+", above) if name]
        yield record(idx, "Bird", coarse, [species], f"images/{path}",
                     {"class": int(labels[i]), "name": names[labels[i]], "taxonomy": line[::-1], "box_xywh": box(boxes[i])})


EXPECTED = {"inaturalist": inaturalist, "fgvc-aircraft": aircraft, "cub-200-2011": cub, "stanford-dogs": dogs,
            "stanford-cars": cars, "nabirds": nabirds}


def write_records(key, root, split, out, *options):
    command = [finer_program.program("finer-data"), "records", "--set", key, "--root", str(root), "--split", split,
               "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")
    return done.stderr


def row(report, name):
    """The numbers of a row of the table at the end."""
    found = re.search(rf"^  {name} +(.*)$", report, re.M)
    return [float(number.replace(",", "")) for number in re.findall(r"[\d,.]*\d", found[1])] if found else None


def against_python(roots, work):
    for key, read in EXPECTED.items():
        for split in ("train", "test"):
            report = write_records(key, roots[key], split, work)
            found = (work / f"unified-{key}-{split}-combined.jsonl").read_bytes()
            rows = list(read(roots[key], split))
            wanted = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows).encode()
            check(found == wanted, f"{key}, {split}: {len(rows)} records, byte for byte")
            counts = {}
            for one in rows:
                counts[tuple(one["fine-level-lbl"])] = counts.get(tuple(one["fine-level-lbl"]), 0) + 1
            sizes = sorted(counts.values())
            bare = [one for one in rows if not one["coarse-level-lbl"]]
            wanted = {"classes": [len(counts)], "images": [len(rows)],
                      "images a class": [sizes[0], (sizes[len(sizes) // 2] + sizes[(len(sizes) - 1) // 2]) / 2, sizes[-1]],
                      "coarse labels missing": [len(bare), len({tuple(one["fine-level-lbl"]) for one in bare})],
                      "files missing": [0]}
            check(all(row(report, name) == numbers for name, numbers in wanted.items()), f"{key}, {split}: the table")


def of_records(work, key, split):
    with open(work / f"unified-{key}-{split}-combined.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def against_torchvision(roots, work):
    parent = roots["fgvc-aircraft"].parent
    for split in ("train", "test"):
        rows = of_records(work, "fgvc-aircraft", split)
        for level, label in (("variant", lambda one: one["fine-level-lbl"][-1]), ("family", lambda one: one["fine-level-lbl"][0]),
                             ("manufacturer", lambda one: one["coarse-level-lbl"][0])):
            theirs = datasets.FGVCAircraft(parent, split="trainval" if split == "train" else "test",
                                           annotation_level=level, download=False)
            pairs = {(Path(path).relative_to(roots["fgvc-aircraft"]).as_posix(), theirs.classes[target])
                     for path, target in zip(theirs._image_files, theirs._labels)}
            check(pairs == {(one["img_path"], label(one)) for one in rows} and len(theirs) == len(rows),
                  f"torchvision FGVCAircraft, {split}, {level}: {len(rows)} labels")

        rows = of_records(work, "stanford-cars", split)
        theirs = datasets.StanfordCars(parent, split=split, download=False)
        pairs = [(Path(path).relative_to(roots["stanford-cars"]).as_posix(), theirs.classes[target], target + 1)
                 for path, target in theirs._samples]
        ours = [(one["img_path"], one["fine-level-lbl"][0], one["metadata"]["class"]) for one in rows]
        check(pairs == ours, f"torchvision StanfordCars, {split}: {len(rows)} labels, in their order")

        rows = of_records(work, "inaturalist", split)
        version = "2021_train" if split == "train" else "2021_valid"
        types = ["full", "kingdom", "phylum", "class", "order", "family", "genus"]
        theirs = datasets.INaturalist(roots["inaturalist"], version=version, target_type=types, download=False)
        folder = "train" if split == "train" else "val"
        pairs = {f"{folder}/{theirs.all_categories[kind]}/{name}":
                 (kind, *(theirs.category_name(level, theirs.categories_map[kind].get(level, kind)) for level in types[1:]))
                 for kind, name in theirs.index}
        ours = {one["img_path"]: (one["metadata"]["class"], *(one["metadata"]["taxonomy"][level] for level in types[1:]))
                for one in rows}
        check(pairs == ours and len(rows) == len(theirs), f"torchvision INaturalist, {version}: {len(rows)} labels of 7 ranks")


def options(roots, work):
    """What the options do: a coarse file elsewhere, none, attributes, broken and missing pictures; the folder set."""
    root = roots["cub-200-2011"]
    elsewhere = work / "coarse.txt"
    (root / "coarse-classes.txt").rename(elsewhere)
    out = work / "cub.jsonl"
    done = subprocess.run([finer_program.program("finer-data"), "records", "--set", "cub-200-2011", "--root", root, "--split",
                           "train", "--out", out], capture_output=True, text=True)
    check(done.returncode == 2 and done.stderr.count("\n") == 1 and "coarse-classes.txt" in done.stderr
          and "--coarse none" in done.stderr and not out.exists(), "a missing coarse-label file: one line, exit 2, no output")
    write_records("cub-200-2011", root, "train", out, "--coarse", elsewhere)
    check(out.read_bytes() == (work / "unified-cub-200-2011-train-combined.jsonl").read_bytes(), "--coarse FILE")
    report = write_records("cub-200-2011", root, "train", out, "--coarse", "none")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    check(all(one["coarse-level-lbl"] == [] for one in rows) and row(report, "coarse labels missing") == [len(rows), 6],
          "--coarse none")
    names = [name.split(".", 1)[1].replace("_", " ").upper() for name in make_layouts.CUB]
    make_layouts.attributes(work / "attributes.json", {"cub-200-2011": names})
    (root / rows[0]["img_path"]).unlink()
    broken = root / rows[3]["img_path"]
    broken.write_bytes(broken.read_bytes()[:200])
    report = write_records("cub-200-2011", root, "train", out, "--coarse", elsewhere, "--verify-images", "--attributes",
                           work / "attributes.json")
    check(row(report, "files missing") == [1] and f"missing: {rows[0]['img_path']}\n" in report, "a missing picture is listed")
    check(row(report, "files broken") == [1] and report.count(f"broken: {broken}:") == 1, "a broken picture is listed")
    check(row(report, "without attributes") == [1] and "no attributes: Least Auklet\n" in report,
          "classes without attributes are listed")

    root = roots["folder"]
    splits, well_labelled = {split: set() for split in ("train", "test")}, True
    for split in splits:
        write_records("folder", root, split, out)
        for one in map(json.loads, out.read_text(encoding="utf-8").splitlines()):
            coarse, fine, _ = one["img_path"].split("/")
            splits[split].add(one["img_path"])
            well_labelled &= (one["basic-level-lbl"], one["coarse-level-lbl"], one["fine-level-lbl"]) == (
                root.name, [coarse], [fine.replace("_", " ")])
    pictures = {path.relative_to(root).as_posix() for path in root.glob("*/*/p*")}
    check(well_labelled, "folder: labels are the folders' names")
    check(not splits["train"] & splits["test"] and splits["train"] | splits["test"] == pictures, "folder: every picture once")


def main(work):
    work.mkdir(parents=True, exist_ok=True)
    roots = make_layouts.make_all(work / "layouts")
    against_python(roots, work)
    against_torchvision(roots, work)
    options(roots, work)
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(Path(folder)))
