"""How report.html looks: on screens of any width, light and dark, and on paper."""

# The CSS of the page.
STYLE_SHEET = """
:root {
  color-scheme: light dark;
  --paper: #fff; --card: #f6f7f8; --ink: #1d2227; --soft: #5c6670; --line: #dde1e5;
  --accent: #00639c; --mark: #fff4d6; --mark-line: #e0a800; --bad: #fdeceb; --bad-line: #d3423a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --card: #1e2327; --ink: #e4e7ea; --soft: #9da7b1; --line: #333a41;
    --accent: #74bdf2; --mark: #352d14; --mark-line: #b98a00; --bad: #3a1d1b; --bad-line: #e0655d;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.5rem 5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Liberation Sans", Arial, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.15; margin: .15em 0 .35em;
  letter-spacing: -.015em; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 3rem 0 .9rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.9rem 0 .5rem; }
p { margin: .6rem 0; max-width: 44rem; }
a { color: var(--accent); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  monospace; font-size: .86em; }
pre { margin: .35rem 0 1.1rem; padding: .8rem 1rem; background: var(--card); border-radius: .5rem;
  white-space: pre-wrap; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: 1.2rem 0 0; font-size: .93rem; }
nav a { text-decoration: none; padding: .25rem 0; }
nav a:hover { text-decoration: underline; }
.kicker, .note, figcaption, .unit { color: var(--soft); }
.kicker { margin: 0; font-size: .93rem; }
.note, figcaption { font-size: .88rem; }
.lead { font-size: 1.12rem; }
.callout { margin: 1.3rem 0; padding: .8rem 1.1rem; max-width: none; background: var(--mark);
  border-left: .25rem solid var(--mark-line); border-radius: .3rem; }
.callout.bad { background: var(--bad); border-color: var(--bad-line); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
  gap: .9rem 1.5rem; margin: 1.6rem 0 0; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .7rem 0; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
.caption { color: var(--soft); font-size: .88rem; margin: 1.4rem 0 -.3rem; max-width: none; }
th, td { padding: .42rem .85rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 500; font-size: .85rem; vertical-align: bottom; }
tbody th { font-weight: 600; }
th:first-child { text-align: left; padding-left: 0; position: sticky; left: 0;
  background: var(--paper); }
td.value { white-space: nowrap; }
.interval { display: block; color: var(--soft); font-size: .82rem; white-space: nowrap; }
table.words td { text-align: left; overflow-wrap: anywhere; }
table.words tbody th { font-weight: 500; overflow-wrap: anywhere; }
table.words thead th { text-align: left; }
table.settings { table-layout: fixed; width: 100%; }
table.settings th:first-child { width: 46%; }
tr.changed th, tr.changed td:nth-child(2) { font-weight: 650; color: var(--accent); }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); padding: .25rem 0; }
.pictures { display: grid; align-items: start; gap: 1.8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 0; min-width: 0; }
figure .scroll { margin: 0; }
figure.wide { grid-column: 1 / -1; }
figure img { display: block; max-width: 100%; height: auto; padding: .5rem; background: #fff;
  border: 1px solid var(--line); border-radius: .5rem; }
figcaption { margin-top: .5rem; max-width: 44rem; }
@media (max-width: 36rem) {
  body { padding: 1.4rem 1rem 3rem; }
  th, td { padding: .4rem .6rem; }
  figure img { padding: .2rem; }
  table.settings th:first-child { width: 52%; }
  figure.wide img { max-width: none; width: 46rem; }
}
@media print { nav { display: none; } details:not([open]) > * { display: block; } }
"""
