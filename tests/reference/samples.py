"""Made conversations about drawn pictures, in LLaVA's JSON."""
import json
import random
from pathlib import Path

from pictures import draw_picture

WORDS = ("amber arch basin beak bright cedar coast copper crest dawn dusk ember fern field finch frost glade gold "
         "grain harbor hazel heron hollow iris ivory jade lake lark leaf linen maple marsh mist moss north oak ochre "
         "olive pearl pine plume quartz quiet rain reed ridge river robin rose rust sage sand shade silver slate sky "
         "snow south spruce star stone storm straw striped sun swift tail teal thorn tide timber vale violet warm "
         "water wave west willow wind wing winter wren yellow").split()
SHAPES = [(64, 64), (120, 80), (75, 110), (301, 33), (56, 56), (57, 200), (90, 91)]


def sentence(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count)).capitalize()


def make_sample(rng, index, with_image, question_words, answer_words, rounds=1):
    turns = []
    for number in range(rounds):
        question = sentence(rng, question_words) + "?"
        if with_image and number == 0:
            question = rng.choice(["<image>\n{}", "{}\n<image>"]).format(question)
        turns.append({"from": "human", "value": question})
        turns.append({"from": "gpt", "value": sentence(rng, answer_words) + "."})
    sample = {"id": f"s{index:04d}", "conversations": turns}
    if with_image:
        sample["image"] = f"pictures/{index:04d}.png"
    return sample


def write_set(root, samples, seed):
    """ROOT/samples.json and ROOT/pictures/. Returns the path of the JSON."""
    root = Path(root)
    (root / "pictures").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for number, sample in enumerate(samples):
        if "image" in sample:
            width, height = SHAPES[number % len(SHAPES)]
            draw_picture(root / sample["image"], rng.randrange(1 << 30), width, height,
                         ["RGB", "RGB", "L", "RGBA"][number % 4])
    path = root / "samples.json"
    path.write_text(json.dumps(samples, indent=1) + "\n")
    return path


def mixed_set(root, count, seed, text_only_every=4):
    """Samples of many lengths; every fourth has no picture."""
    rng = random.Random(seed)
    samples = [make_sample(rng, i, (i % text_only_every) != text_only_every - 1, rng.randint(2, 12),
                           rng.randint(1, 24), rng.choice([1, 1, 2, 3])) for i in range(count)]
    return write_set(root, samples, seed)
