"""How pages look: on light and dark screens, on phones and on paper."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f6f8fa; --text: #1f2328; --soft: #59636e; --line:
  #d1d9e0;
  --wrong: #c0262d; --wrong-ground: #fff1f0; --right: #1a7f37; --right-ground: #eefbf1; --warn: #8a5a00;
  --warn-ground: #fff8e5; --accent: #0a58ca; --bar: #9ab8e6; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1318; --raised: #171d24; --text: #e6edf3; --soft: #9aa7b4;
  --line: #313a44; --wrong: #ff8f88; --wrong-ground: #2d1517; --right: #62d97a; --right-ground: #10261a;
  --warn: #e7b54a; --warn-ground: #2b220d; --accent: #7db3ff; --bar: #3d669f; } }
* { box-sizing: border-box; }
body { font: 15px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; margin: 0; background: var(--ground);
  color: var(--text); }
body > * { max-width: 78rem; margin-inline: auto; padding-inline: 1.25rem; }
header { padding-top: 2.2rem; }
.eyebrow { font: 600 12px/1.4 ui-monospace, monospace; color: var(--soft); margin: 0; overflow-wrap: anywhere; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: .2rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; }
section { margin-top: 2.6rem; }
p, ul { margin: .4rem 0; max-width: 70rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
.verdict { border: 1px solid; border-left-width: 7px; border-radius: 8px; padding: .8rem 1.1rem; }
.verdict p { margin: 0; } .verdict p + p { margin-top: .35rem; color: var(--text); }
.verdict strong { font-size: 1.12rem; }
.verdict .sign { font-weight: 800; margin-right: .5rem; }
.right { color: var(--right); } .wrong { color: var(--wrong); } .open { color: var(--warn); }
.verdict.told { color: var(--accent); background: var(--raised); }
.verdict.right { background: var(--right-ground); } .verdict.wrong { background: var(--wrong-ground); }
.verdict.open { background: var(--warn-ground); }
td .right, td .wrong, td .open, td.wrong { font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1rem 0 0; }
.facts div { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: .55rem .8rem; }
.facts dt { color: var(--soft); font-size: 12.5px; } .facts dd { margin: 0; font-size: 1.1rem; font-weight: 600;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: 1.1rem 0 0; }
.wide { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); font-size: 13px; padding-bottom: .35rem; }
th, td { text-align: left; padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align:
  top; }
th { font-size: 13px; color: var(--soft); font-weight: 600; }
tbody th { font-size: inherit; color: inherit; font-weight: 500; }
td, tbody th { overflow-wrap: anywhere; min-width: 4.6rem; }
.wide tbody td:first-child:not(.number) { min-width: 6.5rem; }
.number { min-width: 0; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; padding-left: 1rem; }
tr.marked > * { background: var(--wrong-ground); }
tr.marked > :first-child { box-shadow: inset 4px 0 var(--wrong); padding-left: .7rem; }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: 13px; margin-bottom: .4rem; max-width: 70rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--accent); }
svg { display: block; } svg:not(.layoutbridge) text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .soft { fill: var(--soft); } svg .grid { stroke: var(--line); }
.note { border-left: 3px solid var(--warn); padding-left: .8rem; }
:target { outline: 3px solid var(--accent); outline-offset: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
footer { margin-top: 3rem; padding-block: 1.2rem 2.5rem; font-size: 13px; color: var(--soft); }
svg.chart { width: 100%; min-width: 40rem; }
.series { fill: none; stroke: var(--light); stroke-width: 1.5; }
@media (prefers-color-scheme: dark) { .series { stroke: var(--dark); } }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; font-size: 13px; }
.legend li { display: flex; gap: .4rem; align-items: center; }
.curves { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 1rem 1.3rem; }
.curves figure { margin: 0; width: 134px; }
.curves figcaption { overflow-wrap: anywhere; font-size: 12.5px; } .curves b { color: var(--text); }
path.frame { fill: none; stroke: var(--line); } path.curve { fill: none; stroke: var(--accent); stroke-width: 2; }
.bar { display: block; height: .7rem; background: var(--bar); border-radius: 2px; }
td.bars { width: 32%; min-width: 7rem; vertical-align: middle; }
.drawn { display: flex; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; max-height: 46rem;
  height: fit-content; }
.drawn > .steps { overflow: auto; flex: 1; max-height: inherit; position: relative; }
.overview { flex: none; width: 22px; position: relative; border-left: 1px solid var(--line);
  background: var(--raised); }
.overview svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.overview .apart, .overview .first { fill: var(--wrong); } .overview .place { fill: var(--accent); }
.steps table { width: 100%; border-spacing: 0; border-collapse: separate; }
.steps thead > tr > * { position: sticky; top: 0; background: var(--raised); z-index: 2; padding: .4rem .6rem;
  white-space: nowrap; }
.steps td, .steps tbody th { height: 34px; padding: 0 .6rem 0 0; border: 0; vertical-align: middle;
  white-space: nowrap; min-width: 0; font-weight: 400; text-align: left; }
.steps td.number { text-align: right; }
.steps td.lanes { padding: 0; } .steps td.lanes, .steps td.at { width: 1px; }
.steps td.at { padding-right: 0; } .steps td.at:first-child { padding-left: .8rem; }
.steps td.at:last-child { padding-right: .8rem; }
.steps td.bars { width: auto; padding: 0 1rem; }
.scale { display: block; position: relative; } .scale i { position: absolute; top: -5px; height: 1.35rem;
  border-left: 2px dashed var(--wrong); }
.over > .bar { background: var(--wrong); }
 .steps td.lanes svg { margin-left: auto; }
.lanes path { fill: none; stroke: var(--soft); stroke-width: 1.5; }
.lanes path.head { fill: var(--soft); stroke: none; }
.step { display: flex; gap: .5rem; align-items: center; height: 26px; width: 100%; min-width: clamp(16rem, 31vw, 27rem);
  padding: 0 .6rem; border: 1.5px solid var(--line); border-radius: 6px; background: var(--raised); position:
  relative;
  scroll-margin-block: 9rem; }
.flows > .step::after { content: ""; position: absolute; left: 18px; bottom: -9.5px; height: 8px;
  border-left: 2px solid var(--soft); }
.steps td.through { background: linear-gradient(var(--soft), var(--soft)) 19.5px 0 / 2px 100% no-repeat; }
.steps td.through:first-child { background-position-x: calc(.8rem + 19.5px); }
.steps td.between { text-align: center; padding: 0 .8rem; }
.step b { font-weight: 600; font-size: 13px; } .step i { font-style: normal; color: var(--soft); font-size: 12.5px;
  flex: 1; width: 0; overflow: hidden; text-overflow: ellipsis; }
.step > :last-child { margin-left: auto; } .step code { white-space: nowrap; font-size: 12px; }
.step.place { border: 3px solid var(--accent); } .step.apart { border: 3px solid var(--wrong); }
.step.first { border: 3px double var(--wrong); box-shadow: 0 0 0 2px var(--wrong); background: var(--wrong-ground); }
.steps tr.gap td { color: var(--soft); text-align: left; }
.badge { font-size: 12px; font-weight: 700; white-space: nowrap; }
.place.badge { color: var(--accent); } .apart.badge, .first.badge { color: var(--wrong); }
@media (max-width: 40rem) { h1 { font-size: 1.25rem; } body > * { padding-inline: .9rem; } .step { min-width: 16rem; }
  .wide td:not(.number) { min-width: 8.5rem; }
  .verdict { padding: .7rem .8rem; } .facts { grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); } }
@media print { body { font-size: 11px; } .drawn, .drawn > .steps, .wide { max-height: none; overflow: visible; }
  .overview, nav { display: none; } tr, figure { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; } }
"""
