#!/usr/bin/env python3
"""report.html of an evaluation, opened in headless Chromium from file://.

    report.py EVAL_TEST [SHOTS]    EVAL_TEST: the test binary that writes the demonstration (build/dev/tests/eval_test)
    report.py PAGE.html [SHOTS]    any other page of finer-eval: console, width and filter only

Checks: nothing on the console; no sideways scrolling at 1280 and 400 pixels of width; the filter leaves what it should; a page full
of hostile texts runs none of them. SHOTS: a folder for screenshots, light and dark, at both widths. Exit code 77, CTest's
"skipped", where there is no Chromium."""
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = (1280, 400)
# Run within a copy of the page: works the filter as a reader would and leaves what it saw in the title.
PROBE = """
<script>
addEventListener('load', () => {
  const shots = [...document.querySelectorAll('.shot')], form = document.getElementById('filter');
  const state = () => ({ shown: shots.filter(s => s.getClientRects().length).length, text: document.getElementById('shown').textContent });
  const press = (id, value) => {
    const e = document.getElementById(id);
    if (value === undefined) e.click(); else { e.value = value; e.dispatchEvent(new Event('change', { bubbles: true })); }
    return state();
  };
  const truth = shots.map(s => ({ set: s.dataset.set, said: [...s.querySelectorAll('.said')].map(a => [a.dataset.model, a.dataset.level, a.classList.contains('right')]) }));
  const seen = { truth, wide: document.documentElement.scrollWidth, inner: innerWidth, broken: [...document.images].filter(i => i.complete && !i.naturalWidth).length };
  if (form) {
    seen.all = state();
    seen.right = press('verdict-right'); seen.wrong = press('verdict-wrong'); 
    if (document.getElementById('verdict-mixed')) seen.mixed = press('verdict-mixed');
    if (document.getElementById('of-model')) {
      seen.wrong_of_0 = (press('verdict-wrong'), press('of-model', '0'));
      seen.right_of_0 = press('verdict-right');
      seen.right_of_1 = press('of-model', '1');
      press('of-model', '');
    }
    press('verdict-all');
    if (document.getElementById('of-set')) { seen.set_1 = press('of-set', '1'); press('of-set', ''); }
    seen.again = state();
  }
  parent.postMessage(JSON.stringify(seen), '*');
});
</script></body>"""
# Holds the page at the width asked for: headless Chromium's own window is never narrower than 500 pixels.
FRAME = """<!doctype html><title>waiting</title><link rel="icon" href="data:,">
<script>addEventListener('message', event => document.title = 'PROBE' + event.data);</script>
<iframe src="{name}" style="width:{width}px;height:2000px;border:0"></iframe>"""


def fail(text):
    print("FAILED: " + text, flush=True)
    fail.count += 1


fail.count = 0


def chromium(program, page, width, *options):
    """stdout, and what the page wrote on its console."""
    with tempfile.TemporaryDirectory(prefix="finer-chromium-") as profile:
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}", "--enable-logging=stderr",
             f"--window-size={width},2000", "--virtual-time-budget=5000", *options, page.resolve().as_uri()],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180)
    err = done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace"), [line for line in err.splitlines() if ":CONSOLE" in line]


def probe(program, page, work, width):
    """What the probe saw in the page, and the console."""
    copy = work / f"probe-{page.stem}.html"
    text = page.read_text(encoding="utf-8")
    at = text.rindex("</body>")
    copy.write_text(text[:at] + PROBE + text[at + len("</body>"):], encoding="utf-8")
    frame = work / f"frame-{page.stem}.html"
    frame.write_text(FRAME.format(name=copy.name, width=width), encoding="utf-8")
    dom, console = chromium(program, frame, max(width + 100, 600), "--dump-dom")
    found = re.search(r"<title>PROBE(.*?)</title>", dom, re.S)
    return (json.loads(html.unescape(found.group(1))) if found else None), console


def check_filter(seen):
    def expected(verdict, model=None, chosen_set=None):
        count = 0
        for shot in seen["truth"]:
            said = [right for of, _, right in shot["said"] if model in (None, of)]
            fits = {"all": len(said) > 0, "right": True in said, "wrong": False in said, "mixed": True in said and False in said}[verdict]
            count += fits and chosen_set in (None, shot["set"])
        return count

    total = len(seen["truth"])
    cases = {"all": ("all",), "right": ("right",), "wrong": ("wrong",), "mixed": ("mixed",), "again": ("all",), "wrong_of_0": ("wrong", "0"),
             "right_of_0": ("right", "0"), "right_of_1": ("right", "1"), "set_1": ("all", None, "1")}
    for name, arguments in cases.items():
        if name not in seen:
            continue
        want = expected(*arguments)
        if seen[name] != {"shown": want, "text": f"{want:,} of {total:,}"}:
            fail(f"filter {name}: the page shows {seen[name]}, expected {want} of {total}")
    return {name: seen[name]["shown"] for name in cases if name in seen}


def check_page(program, page, work):
    for width in WIDTHS:
        seen, console = probe(program, page, work, width)
        for line in console:
            fail(f"{page.name} at {width} px: {line}")
        if seen is None:
            fail(f"{page.name} at {width} px: the page's scripts did not run to their end")
            continue
        if seen["wide"] > seen["inner"]:
            fail(f"{page.name} at {width} px: scrolls sideways, {seen['wide']} px in {seen['inner']}")
        if seen["inner"] != width:
            fail(f"{page.name}: the frame is {seen['inner']} px wide, asked for {width}")
        if seen["broken"]:
            fail(f"{page.name}: {seen['broken']} pictures cannot be decoded")
        print(f"{page.name} at {seen['inner']} px: {len(seen['truth'])} pictures, shown {check_filter(seen)}")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        print("report.py: skipped: no chromium (Debian: apt-get install chromium)")
        return 77
    with tempfile.TemporaryDirectory(prefix="finer-report-") as folder:
        work = Path(folder)
        given = Path(sys.argv[1])
        if given.suffix == ".html":
            pages = [given]
        else:
            subprocess.run([given.resolve(), "[.demo]"], check=True, stdout=subprocess.DEVNULL, timeout=120,
                           env={**os.environ, "FINER_DEMO_REPORTS": folder})
            pages = [work / "report.html", work / "hostile.html"]
            # the check itself: a page that complains and loads something must be caught
            bad = work / "bad.html"
            bad.write_text(pages[0].read_text(encoding="utf-8").replace("</main>", "<img src='https://example.invalid/x.png'></main><script>console.error('x')</script>", 1))
            if len(probe(program, bad, work, 1280)[1]) < 2:
                fail("a page that logs an error and asks for a picture was not caught: the console is not read")
        for page in pages:
            check_page(program, page, work)
        if len(sys.argv) == 3:
            shots = Path(sys.argv[2]).resolve()
            shots.mkdir(parents=True, exist_ok=True)
            for width in WIDTHS:
                for name, dark in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
                    chromium(program, pages[0], width, "--hide-scrollbars", f"--window-size={width},6000", f"--screenshot={shots / f'{width}-{name}.png'}", *dark)
    print("ok" if fail.count == 0 else f"{fail.count} failures")
    return 1 if fail.count else 0


if __name__ == "__main__":
    sys.exit(main())
