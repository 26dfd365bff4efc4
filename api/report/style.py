"""The page's style: the system's own letters, one colour, light and dark, screen and paper."""

import base64
import hashlib

CSS = """
:root { color-scheme: light dark; --ink: #1c1f23; --soft: #5b636d; --line: #d9dde2; --paper: #fff; --shade: #f5f6f8;
  --accent: #0b62c4; --pale: #d3d8de; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa4af; --line: #343a42; --paper: #15181c;
  --shade: #1d2127; --accent: #6cb0ff; --pale: #3d454f; } }
* { box-sizing: border-box; }
html { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); }
main { max-width: 820px; margin: 0 auto; padding: 32px 20px 64px; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; font-weight: 650; }
h2 { font-size: 1.12rem; margin: 48px 0 8px; font-weight: 650; border-top: 1px solid var(--line); padding-top: 18px; }
h3 { font-size: 1rem; margin: 20px 0 4px; font-weight: 600; }
h4 { font-size: .875rem; margin: 16px 0 -8px; font-weight: 500; }
p { margin: 8px 0; max-width: 68ch; }
.soft, figcaption, caption { color: var(--soft); font-size: .875rem; }
.verdict { font-size: 1.12rem; line-height: 1.5; margin: 20px 0 8px; }
figure { margin: 16px 0; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12.5px; fill: var(--ink); } svg .tick { fill: var(--soft); font-size: 11.5px; }
svg .said { fill: var(--soft); }
svg line { stroke-width: 1; } svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); }
svg .bar { stroke: var(--soft); stroke-width: 2; } svg circle { fill: var(--soft); }
svg polyline { fill: none; } svg .pale { stroke: var(--pale); stroke-width: 1; }
svg .arrow { stroke: var(--soft); stroke-width: 2; }
svg .own { stroke: var(--soft); stroke-width: 1.5; }
.marked .bar, .marked .own { stroke: var(--accent); } .marked circle { fill: var(--accent); }
.marked text, .marked .said { fill: var(--accent); font-weight: 600; } .marked .tick { fill: var(--soft);
  font-weight: 400; }
.marked figcaption { color: var(--accent); font-weight: 600; }
.narrow { display: none; } .narrow svg { width: 100%; max-width: 480px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 16px 20px; margin: 16px 0; }
.panel { margin: 0; } .panel svg { width: 100%; max-width: 300px; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.4;
  overflow-wrap: break-word; }
caption { text-align: left; padding: 0 0 6px; }
th, td { text-align: left; vertical-align: top; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line);
  unicode-bidi: isolate; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; white-space: nowrap; }
tbody th { font-weight: 500; min-width: 10em; } .number { text-align: right; white-space: nowrap; }
tr.marked th, tr.marked td { color: var(--accent); font-weight: 600; }
.short { white-space: nowrap; } .why { min-width: 16em; width: 42%; } .what { width: 18%; }
dl { display: grid; grid-template-columns: minmax(8em, 12em) 1fr; gap: 4px 16px; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; unicode-bidi: isolate; }
details { border-bottom: 1px solid var(--line); } summary { padding: 7px 0; cursor: pointer; font-size: .9rem; }
pre { background: var(--shade); padding: 12px 14px; border-radius: 6px; font: .8rem/1.5 ui-monospace, SFMono-Regular,
  Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
ul { padding-left: 1.2em; margin: 8px 0; } li { margin: 4px 0; }
footer { margin-top: 48px; color: var(--soft); font-size: .8rem; }
a { color: var(--accent); }
@media (max-width: 820px) { .wide { display: none; } .narrow { display: block; } main { padding: 20px 16px 48px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin: 0 0 8px; } }
@media (max-width: 600px) { .stack thead { display: none; } .stack table, .stack tbody, .stack caption,
    .stack tr, .stack th, .stack td { display: block; width: auto; min-width: 0; text-align: left; }
  .stack tr { border-bottom: 1px solid var(--line); padding: 6px 0; }
  .stack th, .stack td { border: 0; padding: 1px 0; }
  .stack th { font-weight: 600; } .stack td:last-child { color: var(--soft); } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --shade: #f4f4f4; --accent: #0b4f9e;
    --pale: #ccc; } html { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  .scroll { overflow: visible; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; height: auto; } }
"""


def policy() -> str:
    """What the page may load: nothing, but for this style."""
    digest = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
