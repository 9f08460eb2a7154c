#include "finer/eval/eval_assets.h"

namespace finer {

// Series keep their colour over all charts of a page (s0 is the first model everywhere). They
// differ in lightness as well as in hue, so that they can be told apart in grey.
const char* const kEvalStyle = R"css(
:root { --s0: #9a958a; --s1: #c98a1b; --s2: #1f66c1; --s3: #17806d; --s4: #8c4a9e; --s5: #b8503f; --s6: #55606e; --s7: #6d8f2b; }
@media (prefers-color-scheme: dark) { :root {
  --s0: #8d897f; --s1: #dba544; --s2: #79adf7; --s3: #55bfa8; --s4: #c48ad4; --s5: #e58b7b; --s6: #a3b0c0; --s7: #aac964; } }
.lead { margin-top: .9rem; font-size: clamp(1.02rem, .95rem + .4vw, 1.2rem); line-height: 1.5; max-width: 46rem; text-wrap: pretty; }
.prose { max-width: 46rem; margin: 0 0 .8rem; text-wrap: pretty; }
ul.prose { padding-left: 1.2rem; }
ul.prose li { margin: .3rem 0; }
.part { margin: 1.5rem 0 .6rem; max-width: 46rem; }
.story > h2 + .part-box > .part { margin-top: 0; }
.part h3, .bars h3, .lines h3 { font-size: .98rem; font-weight: 650; }
.part .note, .bars .note, .lines .note { margin-top: .15rem; font-size: .84rem; max-width: 46rem; }
.figures th, .figures td { white-space: nowrap; padding: .38rem .8rem; }
.figures td:not(.num), .figures th[scope=row] { white-space: normal; min-width: 6rem; overflow-wrap: break-word; }
.figures th[scope=row] { font-weight: 500; }
.figures .heading { white-space: normal; padding-top: .75rem; font-weight: 650; letter-spacing: -.005em; border-bottom: 1px solid var(--line); min-width: 0; }
.figures .heading .note { display: inline; margin-left: .7rem; }
.figures .strong { font-weight: 700; color: var(--accent); }
.under-cell { display: block; font-size: .74rem; font-weight: 400; color: var(--soft); line-height: 1.3; }
.figures-grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .7rem; margin: .8rem 0; }
.tables-grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 33rem), 1fr)); gap: 0 .7rem; align-items: start; }
.part-box { min-width: 0; }
.part-box.narrow { max-width: 46rem; }
.tables-grid .part-box.narrow { max-width: none; }
.bars, .lines { margin: 0; padding: 1rem 1.1rem .9rem; min-width: 0; }
.lines { display: flex; flex-direction: column; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: .65rem 0 0; padding: 0; font-size: .82rem; }
.legend li { display: flex; align-items: baseline; gap: .4rem; min-width: 0; }
.legend i { width: .7rem; height: .7rem; border-radius: 2px; flex: none; align-self: center; }
.bar-group { margin-top: .75rem; }
.bar-name { font-size: .84rem; font-weight: 550; margin-bottom: .1rem; }
.bar-row { display: grid; grid-template-columns: minmax(0, 1fr) 2.9rem; align-items: center; }
.bar-row.named { grid-template-columns: minmax(6.5rem, 11rem) minmax(0, 1fr) 2.9rem; column-gap: .5rem; }
.bar-label { font-size: .78rem; line-height: 1.2; overflow-wrap: anywhere; }
.bar { display: block; width: 100%; height: 1.15rem; overflow: visible; }
.bar path { fill: none; vector-effect: non-scaling-stroke; }
.bar .grid, .lines-plot .grid { stroke: var(--line); stroke-width: 1px; }
.bar .halo { stroke: var(--card); stroke-width: 4px; opacity: .75; }
.bar .error { stroke: var(--ink); stroke-width: 1.5px; }
.bar-value { font-size: .84rem; text-align: right; }
.bar-axis { margin-top: .2rem; }
.bar-ticks { position: relative; height: 1rem; font-size: .72rem; color: var(--soft); }
.bar-ticks span { position: absolute; white-space: nowrap; transform: translateX(-50%); }
.bar-ticks span:first-child { transform: none; }
.bar-axis .bar-value { font-size: .72rem; color: var(--soft); }
.lines-plot { position: relative; flex: 1; min-height: 13rem; margin: .9rem .4rem 1.5rem 2.9rem; }
.lines-plot svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
.lines-plot path { fill: none; vector-effect: non-scaling-stroke; stroke-width: 2px; stroke-linejoin: round; stroke-linecap: round; }
.x-name { text-align: right; font-size: .74rem; color: var(--soft); margin-top: -.2rem; }
rect.s0 { fill: var(--s0); } rect.s1 { fill: var(--s1); } rect.s2 { fill: var(--s2); } rect.s3 { fill: var(--s3); }
rect.s4 { fill: var(--s4); } rect.s5 { fill: var(--s5); } rect.s6 { fill: var(--s6); } rect.s7 { fill: var(--s7); }
rect.own { fill: var(--accent); } i.own { background: var(--accent); } path.own { stroke: var(--accent); }
i.s0 { background: var(--s0); } i.s1 { background: var(--s1); } i.s2 { background: var(--s2); } i.s3 { background: var(--s3); }
i.s4 { background: var(--s4); } i.s5 { background: var(--s5); } i.s6 { background: var(--s6); } i.s7 { background: var(--s7); }
path.s0 { stroke: var(--s0); } path.s1 { stroke: var(--s1); } path.s2 { stroke: var(--s2); } path.s3 { stroke: var(--s3); }
path.s4 { stroke: var(--s4); } path.s5 { stroke: var(--s5); } path.s6 { stroke: var(--s6); } path.s7 { stroke: var(--s7); }
.filter { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .5rem .9rem; align-items: center; padding: .6rem 0 .7rem;
  background: var(--page); border-bottom: 1px solid var(--line); margin-bottom: .8rem; font-size: .86rem; }
.filter fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.filter legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.segments { display: flex; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; background: var(--card); }
.segments label { position: relative; cursor: pointer; }
.segments input { position: absolute; opacity: 0; inset: 0; margin: 0; width: 100%; height: 100%; cursor: pointer; }
.segments span { display: block; padding: .3rem .8rem; }
.segments label + label { border-left: 1px solid var(--line); }
.segments input:checked + span { background: var(--ink); color: var(--page); }
.segments input:focus-visible + span { outline: 2px solid var(--accent); outline-offset: -2px; }
.choice { display: flex; gap: .4rem; align-items: center; color: var(--soft); min-width: 0; }
.choice select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .3rem .5rem; max-width: 12rem; min-width: 0; }
#shown { margin-left: auto; color: var(--soft); }
.shots { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); list-style: none; margin: 0; padding: 0; }
.shots.models-2 { grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); }
.shots.models-3, .shots.models-4 { grid-template-columns: minmax(0, 1fr); }
.shot { display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); overflow: hidden; content-visibility: auto; contain-intrinsic-size: auto 15rem; }
.shot[hidden] { display: none; }
.seen { padding: .8rem 0 .9rem .8rem; min-width: 0; }
.seen .picture { aspect-ratio: 1; border: 0; border-radius: .4rem; overflow: hidden; }
.gold { font-weight: 700; font-size: 1.02rem; line-height: 1.3; margin-top: .6rem; letter-spacing: -.01em; }
.gold-more { font-size: .78rem; color: var(--soft); line-height: 1.4; margin-top: .2rem; }
.from { font-size: .72rem; color: var(--soft); margin-top: .35rem; }
.from::before { content: ""; display: block; width: 1.2rem; border-top: 1px solid var(--line); margin-bottom: .35rem; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr)); align-content: start; padding: .3rem .3rem .5rem; min-width: 0; }
.said { padding: .5rem .8rem .6rem; min-width: 0; font-size: .88rem; }
.said[hidden] { display: none; }
.who { display: flex; flex-wrap: wrap; gap: .1rem .5rem; align-items: baseline; padding-bottom: .3rem; border-bottom: 2px solid var(--line); }
.who b { font-weight: 600; }
.level { font-size: .74rem; color: var(--soft); }
.mark { margin-left: auto; font-size: .76rem; font-weight: 600; white-space: nowrap; }
.right > .who { border-color: var(--good); } .right .mark { color: var(--good); } .right .mark::before { content: "\2713\00a0"; }
.wrong .mark { color: var(--bad); } .wrong .mark::before { content: "\2717\00a0"; }
.asked { font-size: .76rem; color: var(--soft); line-height: 1.4; margin-top: .5rem; }
.step, .named { white-space: pre-wrap; max-height: 9rem; overflow: auto; unicode-bidi: isolate; }
.named { font-weight: 650; font-size: .98rem; }
.right .named { color: var(--good); }
.chips { display: flex; flex-wrap: wrap; gap: .25rem; list-style: none; margin: .3rem 0 0; padding: 0; font-size: .78rem; line-height: 1.35; }
.chips li { padding: .08rem .5rem; border-radius: .8rem; border: 1px solid var(--line); color: var(--soft); min-width: 0; }
.chips .yes { background: var(--good-tint); border-color: transparent; color: var(--good); }
.chips .yes::before { content: "\2713\00a0"; }
.chips .no { text-decoration: line-through; text-decoration-color: var(--bad); text-decoration-thickness: 1px; }
@media (max-width: 44rem) {
  .shot { grid-template-columns: minmax(0, 1fr); }
  .seen { padding: .8rem .8rem 0; display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); column-gap: .8rem; align-content: start; }
  .seen .picture { grid-row: 1 / span 3; }
  .seen > :not(.picture) { grid-column: 2; }
  .gold { margin-top: 0; }
  .figures th, .figures td { padding: .38rem .5rem; }
  .figures th[scope=col], .under-cell { white-space: normal; }
  .figures td:not(.num), .figures th[scope=row] { min-width: 4.5rem; }
  .bars, .lines { padding: .9rem .8rem .8rem; }
  .filter { position: static; }
}
@media print { .filter { display: none; } .shot { break-inside: avoid; } }
)css";

// right: somebody (or the chosen model) is right; wrong: likewise; mixed: some are, some are not.
const char* const kEvalScript = R"js(
(() => {
  const form = document.getElementById('filter');
  if (!form) return;
  const shots = [...document.querySelectorAll('.shot')], shown = document.getElementById('shown'),
    none = document.getElementById('none-shown');
  const chosen = id => { const list = document.getElementById(id); return list ? list.value : ''; };
  const apply = () => {
    const verdict = form.querySelector('input[name=verdict]:checked').value;
    const model = chosen('of-model'), set = chosen('of-set'), level = chosen('of-level');
    let count = 0;
    for (const shot of shots) {
      let right = 0, wrong = 0;
      for (const said of shot.querySelectorAll('.said')) {
        said.hidden = level !== '' && said.dataset.level !== level;
        if (said.hidden || (model !== '' && said.dataset.model !== model)) continue;
        if (said.classList.contains('right')) right++; else wrong++;
      }
      const fits = { all: right + wrong > 0, right: right > 0, wrong: wrong > 0, mixed: right > 0 && wrong > 0 }[verdict];
      shot.hidden = !(fits && (set === '' || shot.dataset.set === set));
      if (!shot.hidden) count++;
    }
    shown.textContent = count.toLocaleString('en-US') + ' of ' + shots.length.toLocaleString('en-US');
    none.hidden = count > 0;
  };
  form.addEventListener('change', apply);
  form.addEventListener('submit', event => event.preventDefault());
  apply();
})();
)js";

}  // namespace finer
