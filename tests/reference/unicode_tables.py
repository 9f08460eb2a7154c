#!/usr/bin/env python3
"""Writes finer/eval/unicode_tables.inc and tests/golden/unicode.json from the Python that runs it.

    unicode_tables.py            writes both
    unicode_tables.py --check    exit code 1 when they differ from what this Python would write

finer compares answers as a Python program does: str.lower(), str.split(), re's \\b. The tables hold what Python says of
each character; the golden file holds worked texts, the special cases of str.lower() among them."""
import json
import re
import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALL = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(characters):
    """Sorted code points as inclusive ranges."""
    found = []
    for c in map(ord, characters):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def lower_runs():
    """(first, last, step, shift): first, first + step, ..., last go down by shift. Characters with a longer lower form
    are left out: there is one, U+0130, and the C++ names it."""
    pairs = [(ord(c), ord(c.lower()) - ord(c)) for c in ALL if len(c.lower()) == 1 and c.lower() != c]
    longer = [c for c in ALL if len(c.lower()) > 1]
    assert longer == ["\u0130"] and longer[0].lower() == "i\u0307", longer
    runs = []
    for code, shift in pairs:
        if runs and runs[-1][3] == shift:
            run = runs[-1]
            step = code - run[1]
            if step in (1, 2) and (run[0] == run[1] or run[2] == step):
                run[1], run[2] = code, step
                continue
        runs.append([code, code, 1, shift])
    return runs


def lines(values, format_one):
    text, line = [], " "
    for value in values:
        item = " " + format_one(value) + ","
        if len(line) + len(item) > 100:
            text.append(line)
            line = " "
        line += item
    return "\n".join(text + [line])


def tables():
    word = [c for c in ALL if re.match(r"\w", c) and ord(c) >= 0x80]
    # of str.lower()'s rule for a capital sigma: is the character before it cased, or passed over?
    cased = [c for c in ALL if ("1" + c + "\u03a3").lower().endswith("\u03c2")]
    passed = [c for c in ALL if ("A" + c + "\u03a3").lower().endswith("\u03c2") and c not in set(cased)]
    pair = lambda r: "{0x%x, 0x%x}" % tuple(r)
    run = lambda r: "{0x%x, 0x%x, %d, %d}" % tuple(r)
    out = [f"// Written by tests/reference/unicode_tables.py: Unicode {unicodedata.unidata_version}. Not to be edited.", ""]
    for name, kind, values, form in (
            ("kLowerRuns", "LowerRun", lower_runs(), run), ("kWordRanges", "CodeRange", ranges(word), pair),
            ("kCasedRanges", "CodeRange", ranges(cased), pair), ("kPassedRanges", "CodeRange", ranges(passed), pair)):
        out += [f"constexpr {kind} {name}[] = {{", lines(values, form), "};", ""]
    return "\n".join(out[:-1]) + "\n"


def golden():
    texts = [
        "\u00c9cureuil D'Am\u00c9RIQUE", "\u00c5NGSTR\u00d6M \u00dcBER \u00d1AND\u00da", "STRASSE stra\u00dfe \u1e9e",
        "\u039f\u0394\u039f\u03a3 \u03a3\u039f\u03a6\u039f\u03a3.", "\u03a3", "A\u03a3\u0301", "\u03a3\u0301A", "A\u03a3\u0301A", "a.\u03a3.b", "a.\u03a3. b",
        "\u0416\u0423\u041a \u0429\u0423\u041a\u0410 \u0401\u0416", "\u0130STANBUL \u0131I", "\u212a\u212b\u2126", "\u01c4\u01c5\u01c6", "\ua7ae \u10a0 \U00010400",
        "a\u2014bee an\u2019t the\u00b7end", "caf\u00e9 \u00e9a a\u00e9 \u00e0 a\u0301", "\u4e2d\u6587 a \u4e2d a\u4e2d", "the\u00a0owl\u3000an\u2009eel", "x\u200ba\u200bx",
        "\x1cone\x1dtwo\x1e\x1fthree\x85four\u2028five\u2029six", " \t\v\f\r\n a \t the \n", "The THE the an An aN", "they theme an_a a_", "a", "", "   ",
        "Wire-haired (Fox) Terrier!?", "\"Saint Bernard\"", "$10 + 20% = <a> ~ ^`|", "\U0001f426 a \U0001f426", "\u00aa a\u00ba \u00b2", "a1 1a an2",
        "F/A-18 the F-A18", "Brewer's Blackbird", "A\u0308 A", "\u0939\u093f\u0928\u094d\u0926\u0940 a \u0939\u093f", "\u05d0a \u05d0\u05b7 a",
    ]
    # every letter of the common scripts once, in one text a block
    for first, last in ((0xC0, 0x17F), (0x180, 0x24F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x587), (0x1E00, 0x1FFF), (0x2C60, 0x2C7F)):
        texts.append("".join(chr(c) for c in range(first, last + 1) if chr(c).isalpha()))
    drop = str.maketrans("", "", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    normal = lambda s: " ".join(re.sub(r"\b(a|an|the)\b", " ", s.lower().translate(drop)).split())
    cases = [{"text": t, "lower": t.lower(), "split": t.split(), "normal": normal(t)} for t in texts]
    return json.dumps(cases, ensure_ascii=True, indent=0) + "\n"


def main():
    files = {ROOT / "finer/eval/unicode_tables.inc": tables(), ROOT / "tests/golden/unicode.json": golden()}
    if sys.argv[1:] == ["--check"]:
        wrong = [str(f.relative_to(ROOT)) for f, text in files.items() if not f.exists() or f.read_text() != text]
        print("differs: " + ", ".join(wrong) if wrong else "ok: the tables are what this Python says")
        return 1 if wrong else 0
    for file, text in files.items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
