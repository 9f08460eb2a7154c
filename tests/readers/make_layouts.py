#!/usr/bin/env python3
"""Builds the six sets' official layouts in miniature: the real file formats (MATLAB v5 by scipy, JPEG by PIL) and real
class names, with the awkward cases that the official files have.

    make_layouts.py DIR          all layouts: DIR/inaturalist, DIR/fgvc-aircraft-2013b, DIR/CUB_200_2011, DIR/stanford_dogs,
                                 DIR/stanford_cars, DIR/nabirds, and one for --set folder with a name that is not ASCII
    make_layouts.py --fixtures   the .mat files that the C++ tests read, into fixtures/ beside this file

The folders' names are those that torchvision looks for. The same call writes the same labels and paths every time."""
import json
import os
import random
import sys
import uuid
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

# kingdom .. family, genus, epithet, common name, supercategory
SPECIES = [
    ("Animalia", "Annelida", "Clitellata", "Haplotaxida", "Lumbricidae", "Lumbricus", "terrestris", "Common Earthworm", "Animals"),
    ("Animalia", "Annelida", "Polychaeta", "Sabellida", "Sabellidae", "Sabella", "spallanzanii", "Mediterranean Fan-worm", "Animals"),
    ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Cyanistes", "caeruleus", "Eurasian Blue Tit", "Birds"),
    ("Animalia", "Chordata", "Aves", "Passeriformes", "Meliphagidae", "Prosthemadera", "novaeseelandiae", "T\u016b\u012b", "Birds"),
    ("Animalia", "Arthropoda", "Insecta", "Lepidoptera", "Nymphalidae", "Danaus", "plexippus", "Monarch", "Insects"),
    ("Fungi", "Basidiomycota", "Agaricomycetes", "Agaricales", "Amanitaceae", "Amanita", "muscaria", "fly agaric", "Fungi"),
    ("Plantae", "Tracheophyta", "Pinopsida", "Pinales", "Pinaceae", "Abies", "balsamea", "balsam fir", "Plants"),
    ("Plantae", "Bryophyta", "Bryopsida", "Hypnales", "Hypnaceae", "Hypnum", "imponens", "", "Plants"),
]
FAMILIES = {"Lumbricidae": ["Earthworm"], "Sabellidae": ["Feather duster worm"], "Paridae": ["Tit", "Chickadee"],
            "Meliphagidae": ["Honeyeater"], "Nymphalidae": ["Brush-footed butterfly"], "Amanitaceae": ["Amanita"],
            "Pinaceae": ["Conifer", "Pine"]}  # none of Hypnaceae

# manufacturer, family, variant
AIRCRAFT = [
    ("Boeing", "Boeing 707", "707-320"), ("Boeing", "Boeing 727", "727-200"), ("Boeing", "Boeing 737", "737-300"),
    ("McDonnell Douglas", "F/A-18", "F/A-18"), ("Douglas Aircraft Company", "DC-3", "DC-3"),
    ("Airbus", "A310", "A310"), ("British Aerospace", "BAE 146", "BAE 146-200"),
    ("Eurofighter", "Eurofighter Typhoon", "Eurofighter Typhoon"), ("Cessna", "Cessna 208", "Cessna 208"),
]

CUB = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross", "004.Groove_billed_Ani",
       "005.Crested_Auklet", "006.Least_Auklet"]
CUB_COARSE = ["Albatross, Seabird", "Albatross, Seabird", "Albatross , Seabird", "Cuckoo", "Auk, Seabird"]  # none of 6

DOGS = {1: "n02085620-Chihuahua", 2: "n02085782-Japanese_spaniel", 3: "n02085936-Maltese_dog",
        15: "n02089078-black-and-tan_coonhound", 56: "n02099601-golden_retriever",
        89: "n02107574-Greater_Swiss_Mountain_dog"}
DOGS_COARSE = {1: "Toy dog", 2: "Toy dog, Spaniel", 3: "Toy dog", 15: "Hound", 56: "Retriever", 89: "Mountain dog"}

CARS = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Acura ZDX Hatchback 2012",
        "Aston Martin V8 Vantage Convertible 2012", "BMW M3 Coupe 2012", "Ram C/V Cargo Van Minivan 2012",
        "Dodge Ram Pickup 3500 Crew Cab 2010", "Ford F-150 Regular Cab 2012", "Audi 100 Wagon 1994",
        "Honda Odyssey Minivan 2012", "HUMMER H3T Crew Cab 2010"]
CARS_COARSE = {8: "pickup", 9: "wagon", 10: "minivan, van"}  # none of 11

# number, name, parent
BIRDS = [
    (0, "Birds", None), (1, "Ducks, Geese, and Swans", 0), (2, "Sandpipers and Allies", 0),
    (3, "Woodpeckers", 0), (22, "Perching Birds", 0), (61, "Jays, Magpies, Crows, and Ravens", 22),
    (98, "Grosbeaks, Sandgrouse and Buntings", 22), (130, "Common Eider", 1),
    (295, "Common Eider (Adult male)", 130), (296, "Common Eider (Female/juvenile)", 130),
    (313, "Mallard", 1), (314, "Mallard (Breeding male)", 313), (401, "Northern Flicker", 3),
    (402, "Northern Flicker (Yellow-shafted)", 401), (471, "Least Sandpiper", 2), (530, "Blue Jay", 61),
    (817, "Painted Bunting (Adult Male)", 98), (900, "Red-tailed Hawk", 0), (901, "Red-tailed Hawk (Light morph)", 900),
    (902, "Red-tailed Hawk (Light morph (adult))", 901),
]

FOLDER = {"Songbirds": ["Blue_Tit", "T\u016b\u012b", "Wren (Eurasian)"], "Waders": ["Least_Sandpiper"]}


def picture(path, rng, size=(9, 7), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = bytes(rng.randrange(256) for _ in range(size[0] * size[1] * 3))
    Image.frombytes("RGB", size, pixels).save(path, **options)


def lines(path, rows, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((row + end).encode() for row in rows))


def inaturalist(root, rng):
    """Ids in no order and with gaps; val.json has its categories behind the annotations."""
    folders = [f"{number:05d}_{'_'.join(names[:7])}" for number, names in enumerate(SPECIES)]
    for split, per_class in (("train", 4), ("val", 2)):
        images, annotations = [], []
        for number, folder in enumerate(folders):
            for _ in range(per_class):
                name = f"{split}/{folder}/{uuid.UUID(int=rng.getrandbits(128), version=4)}.jpg"
                picture(root / name, rng)
                images.append({"width": 9, "height": 7, "file_name": name, "license": 0, "rights_holder": "K\u0101ka \"K\"",
                               "date": "2015-07-05 00:00:00+00:00", "latitude": 59.1, "longitude": -1.5e2,
                               "location_uncertainty": None})
                annotations.append({"category_id": number})
        ids = rng.sample(range(5, 5 + 7 * len(images)), len(images))
        annotation_ids = rng.sample(range(3 * len(images)), len(images))
        for image, annotation, image_id, annotation_id in zip(images, annotations, ids, annotation_ids):
            image["id"] = annotation["image_id"] = image_id
            annotation["id"] = annotation_id
        rng.shuffle(images)
        rng.shuffle(annotations)
        categories = [{"id": number, "name": f"{names[5]} {names[6]}", "common_name": names[7], "supercategory": names[8],
                       "kingdom": names[0], "phylum": names[1], "class": names[2], "order": names[3], "family": names[4],
                       "genus": names[5], "specific_epithet": names[6], "image_dir_name": folders[number]}
                      for number, names in enumerate(SPECIES)]
        document = {"info": {"year": 2021, "version": "1.0"}, "images": images}
        if split == "train":
            document |= {"categories": categories, "annotations": annotations, "licenses": [{"id": 0}]}
        else:
            document |= {"annotations": annotations, "licenses": [{"id": 0}], "categories": categories}
        (root / f"{split}.json").write_text(json.dumps(document, ensure_ascii=split == "train"), encoding="utf-8")
        link = root / ("2021_train" if split == "train" else "2021_valid")  # as torchvision calls them
        if not link.exists():
            os.symlink(split, link)
    (root / "coarse-classes-family.json").write_text(json.dumps(FAMILIES))


def aircraft(root, rng):
    """Variants with blanks at the line's end, manufacturers with CRLF, each list in an order of its own."""
    data = root / "data"
    for level, column in (("variants", 2), ("families", 1), ("manufacturers", 0)):
        lines(data / f"{level}.txt", sorted({row[column] for row in AIRCRAFT}))
    boxes, ids = [], rng.sample(range(12345, 2300000), len(AIRCRAFT) * 6)
    for split, per_class in (("train", 2), ("val", 1), ("test", 3)):
        rows = [(f"{ids.pop():07d}", row) for row in AIRCRAFT for _ in range(per_class)]
        for name, _ in rows:
            picture(data / "images" / f"{name}.jpg", rng)
            boxes.append(f"{name} {rng.randrange(1, 4)} 2 {rng.randrange(5, 9)} 7")
        files = {split: rows}
        if split == "val":
            files["trainval"] = train + rows
        if split == "train":
            train = rows
        for name, listed in files.items():
            for level, column, tail, end in (("variant", 2, "  ", "\n"), ("family", 1, "", "\n"),
                                             ("manufacturer", 0, "", "\r\n")):
                order = list(listed)
                rng.shuffle(order)
                lines(data / f"images_{level}_{name}.txt", [f"{i} {row[column]}{tail}" for i, row in order], end)
    lines(data / "images_box.txt", sorted(boxes))


def cub(root, rng):
    lines(root / "classes.txt", [f"{i} {name}" for i, name in enumerate(CUB, 1)], "\r\n")
    lines(root / "coarse-classes.txt", [f"{i} {names}" for i, names in enumerate(CUB_COARSE, 1)], " \r\n")
    images, labels, splits, boxes = [], [], [], []
    for number, name in enumerate(CUB, 1):
        for k in range(5):
            path = f"{name}/{name.split('.')[1]}_{k + 1:04d}_{rng.randrange(10**6)}.jpg"
            picture(root / "images" / path, rng)
            i = len(images) + 1
            images.append(f"{i} {path}")
            labels.append(f"{i} {number}")
            splits.append(f"{i} {rng.randrange(2) if k > 1 else k}")
            boxes.append(f"{i} {rng.randrange(90)}.0 {rng.randrange(90)}.5 325.0 304.0")
    lines(root / "images.txt", images)
    lines(root / "image_class_labels.txt", labels)
    lines(root / "train_test_split.txt", splits)
    lines(root / "bounding_boxes.txt", boxes)


def cells(texts):
    """A MATLAB column of text cells."""
    array = np.empty((len(texts), 1), dtype=object)
    array[:, 0] = texts
    return array


def dogs(root, rng):
    for name, first, count in (("train_list", 0, 3), ("test_list", 3, 2)):
        files, labels = [], []
        for number, folder in DOGS.items():
            for k in range(first, first + count):
                files.append(f"{folder}/{folder.split('-')[0]}_{100 + k * 37}.jpg")
                labels.append(number)
                picture(root / "Images" / files[-1], rng)
        root.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(root / f"{name}.mat", {
            "file_list": cells(files), "annotation_list": cells([file[:-4] for file in files]),
            "labels": np.array(labels, dtype=float).reshape(-1, 1)}, do_compression=True)
    lines(root / "coarse-classes.txt", [f"{i} {names}" for i, names in DOGS_COARSE.items()])


def car_annotations(path, rows, has_class=True, compress=True):
    names = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"] + (["class"] if has_class else []) + ["fname"]
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for at, (box, number, name) in enumerate(rows):
        values = [np.array([[side]], dtype=np.uint8 if side < 256 else np.uint16) for side in box]
        array[0, at] = (*values, *([np.array([[number]], dtype=np.uint8)] if has_class else []), name)
    scipy.io.savemat(path, {"annotations": array}, do_compression=compress)


def row_of_cells(texts):
    return cells(texts).reshape(1, -1)


def cars(root, rng):
    (root / "devkit").mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / "devkit/cars_meta.mat", {"class_names": row_of_cells(CARS)}, do_compression=True)
    for folder, path, per_class in (("cars_train", "devkit/cars_train_annos.mat", 3),
                                    ("cars_test", "cars_test_annos_withlabels.mat", 2)):
        numbers = [number for number in range(1, len(CARS) + 1) for _ in range(per_class)]
        rng.shuffle(numbers)
        rows = []
        for at, number in enumerate(numbers, 1):
            rows.append(((rng.randrange(1, 200), rng.randrange(1, 200), rng.randrange(260, 900), 300), number, f"{at:05d}.jpg"))
            picture(root / folder / rows[-1][2], rng)
        car_annotations(root / path, rows)
        if folder == "cars_test":
            car_annotations(root / "devkit/cars_test_annos.mat", rows, has_class=False)
    lines(root / "coarse-classes.txt", [f"{i} {names}" for i, names in CARS_COARSE.items()])


def nabirds(root, rng):
    lines(root / "classes.txt", [f"{number} {name}  " for number, name, _ in BIRDS])
    order = [bird for bird in BIRDS if bird[2] is not None]
    rng.shuffle(order)
    lines(root / "hierarchy.txt", [f"{number} {parent}" for number, _, parent in order], "\r\n")
    parents = {parent for _, _, parent in BIRDS}
    images, labels, splits, boxes = [], [], [], []
    for number, _, _ in BIRDS:
        if number in parents:
            continue
        for k in range(4):
            name = uuid.UUID(int=rng.getrandbits(128), version=4)
            path = f"{number:04d}/{name.hex}.jpg"
            picture(root / "images" / path, rng)
            images.append(f"{name} {path}")
            labels.append(f"{name} {number}")
            splits.append(f"{name} {1 - k % 2}")
            boxes.append(f"{name} {rng.randrange(90)} {rng.randrange(90)} 32 30")
    rng.shuffle(images)
    lines(root / "images.txt", images)
    lines(root / "image_class_labels.txt", labels)
    lines(root / "train_test_split.txt", splits)
    lines(root / "bounding_boxes.txt", boxes)


def folder(root, rng):
    for coarse, fine_names in FOLDER.items():
        for fine in fine_names:
            for k, extension in enumerate(("jpg", "PNG", "webp", "jpeg", "bmp", "jpg")):
                picture(root / coarse / fine / f"p{k}.{extension}", rng)
    (root / "README.txt").write_text("no picture\n")
    (root / "Songbirds" / ".hidden.jpg").write_text("")


LAYOUTS = {"inaturalist": ("inaturalist", inaturalist), "fgvc-aircraft": ("fgvc-aircraft-2013b", aircraft),
           "cub-200-2011": ("CUB_200_2011", cub), "stanford-dogs": ("stanford_dogs", dogs),
           "stanford-cars": ("stanford_cars", cars), "nabirds": ("nabirds", nabirds), "folder": ("V\u00f6gel", folder)}


def make_all(where, seed=4):
    """Returns key -> root."""
    roots = {}
    for key, (name, make) in LAYOUTS.items():
        roots[key] = Path(where) / name
        make(roots[key], random.Random(f"{seed} {key}"))
    return roots


def attributes(path, sets):
    """A file of concept attributes for every class of `sets` (key -> fine names) but the last of each."""
    entries = [{"id": f"{key}-{at}", "name": name, "attr_binomial": {"required": [f"{name} wings"], "likely": ["a beak"]}}
               for key, names in sets.items() for at, name in enumerate(names[:-1])]
    Path(path).write_text(json.dumps(entries, indent=1))


def fixtures(where):
    where.mkdir(exist_ok=True)
    names = ["Acura RL Sedan 2012", "Citro\u00ebn 2CV", "Ram C/V Cargo Van Minivan 2012 "]
    rows = [((39, 116, 569, 375), 3, "00001.jpg"), ((36, 1, 868, 587), 1, "00002.jpg"), ((85, 109, 601, 381), 2, "00003.jpg")]
    for kind, compress in (("packed", True), ("plain", False)):
        scipy.io.savemat(where / f"cars_meta_{kind}.mat", {"class_names": row_of_cells(names)}, do_compression=compress)
        car_annotations(where / f"cars_annos_{kind}.mat", rows, compress=compress)
    car_annotations(where / "cars_annos_unlabelled.mat", rows, has_class=False)
    dogs = ["n02085620-Chihuahua/n02085620_5927.jpg", "n02085620-Chihuahua/n02085620_4441.jpg",
            "n02107574-Greater_Swiss_Mountain_dog/n02107574_1001.jpg"]
    labels = np.array([[1.0], [1.0], [89.0]])
    lists = {"dogs_list": (dogs, labels), "dogs_short_labels": (dogs, labels[:2]),
             "dogs_half_label": (dogs, np.array([[1.0], [1.5], [89.0]])),
             "dogs_escape": (["../n02085620-Chihuahua/x.jpg"] + dogs[1:], labels),
             "dogs_twice": (dogs[:1] + dogs[:1] + dogs[2:], labels)}
    for name, (files, numbers) in lists.items():
        scipy.io.savemat(where / f"{name}.mat", {"file_list": cells(files), "labels": numbers}, do_compression=True)
    scipy.io.savemat(where / "version4.mat", {"labels": labels}, format="4")
    scipy.io.savemat(where / "no_cells.mat", {"file_list": labels, "labels": cells(dogs)})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--fixtures":
        fixtures(Path(__file__).resolve().parent / "fixtures")
    else:
        make_all(sys.argv[1])
