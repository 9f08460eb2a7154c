#include "finer/train/report_assets.h"

namespace finer {

// Lengths are in rem and shares of the width, so that one sheet serves 400 and 1280 px. Colours are
// named once and swapped for dark.
const char* const kReportStyle = R"css(
:root { color-scheme: light dark;
  --page: #f6f5f2; --card: #fff; --sunken: #efeeea; --ink: #1c1b19; --soft: #66635c; --line: #dfdcd5;
  --accent: #1f66c1; --good: #1a7a45; --good-tint: #e2f3e8; --bad: #b3352b; --bad-tint: #fbe7e4; }
@media (prefers-color-scheme: dark) { :root {
  --page: #131417; --card: #1b1d21; --sunken: #24262b; --ink: #e9e8e4; --soft: #a19f98; --line: #33363c;
  --accent: #79adf7; --good: #6fcf97; --good-tint: #16301f; --bad: #f08a7f; --bad-tint: #3a1c19; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main { max-width: 76rem; margin: 0 auto; padding: clamp(1rem, 3vw, 2.5rem); }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.3rem); line-height: 1.15; letter-spacing: -.02em; margin: 0; }
h2 { font-size: 1.15rem; letter-spacing: -.01em; margin: 2.6rem 0 .9rem; }
h3 { font-size: .9rem; margin: 0; }
p { margin: 0; }
.kicker { font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: var(--soft); margin-bottom: .5rem; }
.under { margin-top: .7rem; color: var(--soft); display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: baseline; }
.pill { font-size: .8rem; font-weight: 600; padding: .1rem .6rem; border-radius: 1rem; background: var(--bad-tint); color: var(--bad); }
.pill.done { background: var(--good-tint); color: var(--good); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; }
.tiles { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .7rem; margin: 1.6rem 0 0; padding: 0; list-style: none; }
@media (max-width: 48rem) { .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.tiles li { padding: .8rem 1rem; }
.tiles .name { font-size: .8rem; color: var(--soft); }
.tiles .value { font-size: clamp(1.1rem, .85rem + 1.2vw, 1.45rem); font-weight: 650; letter-spacing: -.02em; line-height: 1.3; }
.tiles .more { font-size: .78rem; color: var(--soft); line-height: 1.35; }
.charts { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: .7rem; }
.chart { margin: 0; padding: .9rem 1rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .7rem;
  grid-column: span 2; min-width: 0; }
.chart:first-child { grid-column: 1 / -1; }
@media (max-width: 56rem) { .chart { grid-column: 1 / -1; } }
.chart figcaption { display: flex; justify-content: space-between; gap: .2rem 1rem; flex-wrap: wrap; align-items: baseline; }
.chart output { font-size: .8rem; color: var(--soft); }
.chart output b { color: var(--ink); }
.plot { position: relative; height: 10rem; margin: .8rem .4rem 1.6rem 3.1rem; touch-action: pan-y; cursor: crosshair; outline-offset: .3rem; border-radius: 2px; }
.chart:first-child .plot { height: clamp(12rem, 30vw, 18rem); }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round; }
.plot .grid { stroke: var(--line); stroke-width: 1px; }
.plot .main { stroke: var(--accent); stroke-width: 2px; }
.plot .faint { stroke: var(--accent); stroke-width: 1px; opacity: .33; }
.plot .marks { stroke: var(--bad); stroke-width: 2px; stroke-linecap: butt; }
.tick-y, .tick-x { position: absolute; font-size: .72rem; line-height: 1; color: var(--soft); white-space: nowrap; pointer-events: none; }
.tick-y { right: calc(100% + .5rem); transform: translateY(50%); }
.tick-x { top: calc(100% + .5rem); transform: translateX(-50%); }
.cross, .dot { position: absolute; pointer-events: none; display: none; }
.cross { top: 0; bottom: 0; width: 1px; background: var(--soft); }
.dot { width: .6rem; height: .6rem; margin: 0 0 -.3rem -.3rem; border-radius: 50%; background: var(--accent); border: 2px solid var(--card); }
.note { font-size: .78rem; color: var(--soft); line-height: 1.4; font-weight: 400; letter-spacing: 0; }
h2 .note { display: block; }
.bad { color: var(--bad); }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .7rem; margin: 0; padding: 0; list-style: none; }
.samples li { overflow: hidden; display: flex; flex-direction: column; }
.picture { position: relative; background: var(--sunken); aspect-ratio: 4 / 3; border-bottom: 1px solid var(--line); }
.picture img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.picture img.tiny { image-rendering: pixelated; }
.samples dl { margin: 0; padding: .8rem 1rem 1rem; font-size: .9rem; }
.samples dt { font-size: .72rem; color: var(--soft); margin-top: .55rem; }
.samples dt:first-child { margin-top: 0; }
.samples dd { margin: 0; white-space: pre-wrap; max-height: 11rem; overflow: auto; unicode-bidi: isolate; }
.samples .question { color: var(--soft); }
.samples .answer { font-weight: 600; }
.samples .same { color: var(--good); }
.samples .same::after { content: " \2713"; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; overflow-wrap: break-word; }
.path { min-width: 11rem; overflow-wrap: anywhere; }
th, td { text-align: left; padding: .5rem 1rem; border-bottom: 1px solid var(--line); vertical-align: top; }
@media (max-width: 40rem) { th, td { padding: .45rem .6rem; } }
tr:last-child > td, tr:last-child > th[scope=row] { border-bottom: 0; }
thead th { font-size: .78rem; font-weight: 500; color: var(--soft); white-space: nowrap; }
th[scope=row] { font-weight: 600; }
.num { text-align: right; white-space: nowrap; }
.facts { overflow-wrap: anywhere; }
.facts th[scope=row] { font-weight: 500; color: var(--soft); width: 55%; }
.meter { display: block; height: 4px; min-width: 5rem; margin-top: .3rem; border-radius: 2px; background: var(--sunken); }
.meter i { display: block; height: 100%; border-radius: 2px; background: var(--accent); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 .7rem; align-items: start; }
code, pre { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Consolas, "DejaVu Sans Mono", monospace; font-size: .82rem; }
.hash { color: var(--soft); white-space: nowrap; }
details { margin-top: 2.6rem; }
summary { cursor: pointer; padding: .8rem 1rem; font-weight: 600; }
details pre { margin: 0; padding: 0 1rem 1rem; overflow-x: auto; overflow-wrap: normal; line-height: 1.55; }
footer { margin-top: 2.6rem; font-size: .8rem; color: var(--soft); }
@media print { .chart, .card { break-inside: avoid; } body { background: #fff; } }
)css";

// One read-out for all charts: the pointer (or the arrow keys) picks a step, each chart shows its
// value there.
const char* const kReportScript = R"js(
(() => {
  const charts = [...document.querySelectorAll('.chart')].map(figure => ({
    plot: figure.querySelector('.plot'), out: figure.querySelector('output'),
    cross: figure.querySelector('.cross'), dot: figure.querySelector('.dot'),
    data: JSON.parse(figure.querySelector('script').textContent), at: -1 }));
  const text = v => v === null ? 'none' : String(Number(v.toPrecision(4)));
  const put = (tag, content) => { const e = document.createElement(tag); e.textContent = content; return e; };
  const nearest = (steps, step) => {
    let low = 0, high = steps.length - 1;
    while (low < high) { const middle = (low + high) >> 1; if (steps[middle] < step) low = middle + 1; else high = middle; }
    return low > 0 && step - steps[low - 1] < steps[low] - step ? low - 1 : low;
  };
  const describe = (chart, i, lead) => {
    const { step, value, mean } = chart.data;
    chart.out.replaceChildren(put('span', lead + step[i].toLocaleString('en-US') + ': '), put('b', text(value[i])));
    if (mean) chart.out.append(put('span', ' (mean ' + text(mean[i]) + ')'));
  };
  const hide = () => { for (const chart of charts) {
    chart.cross.style.display = chart.dot.style.display = 'none';
    describe(chart, chart.data.step.length - 1, 'last step ');
  } };
  const show = step => { for (const chart of charts) {
    const { data, cross, dot } = chart, i = chart.at = nearest(data.step, step), v = data.mean ? data.mean[i] : data.value[i];
    const x = (data.step[i] - data.x[0]) / (data.x[1] - data.x[0]) * 100;
    const y = v === null ? 0 : (v - data.y[0]) / (data.y[1] - data.y[0]) * 100;
    cross.style.display = 'block'; cross.style.left = x + '%';
    dot.style.display = v === null || y < 0 || y > 100 ? 'none' : 'block'; dot.style.left = x + '%'; dot.style.bottom = y + '%';
    describe(chart, i, 'step ');
  } };
  for (const chart of charts) {
    const { plot, data } = chart;
    const follow = event => {
      const box = plot.getBoundingClientRect(), share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      show(data.x[0] + share * (data.x[1] - data.x[0]));
    };
    plot.addEventListener('pointermove', follow);
    plot.addEventListener('pointerdown', follow);
    plot.addEventListener('pointerleave', hide);
    plot.addEventListener('blur', hide);
    plot.addEventListener('keydown', event => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      const from = chart.at < 0 ? data.step.length - 1 : chart.at;
      show(data.step[Math.min(data.step.length - 1, Math.max(0, from + move))]);
    });
  }
  hide();
})();
)js";

}  // namespace finer
