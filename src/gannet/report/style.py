"""The page's stylesheet: light and dark, phone, desk and paper; colours with the contrast that text needs.

`STYLE` goes into the page's head; `LIGHT` and `DARK` are the colours by name.
"""

LIGHT = {
    "ground": "#ffffff",
    "raised": "#f4f6f8",
    "text": "#1b1f24",
    "faint": "#57606a",
    "rule": "#d0d7de",
    "rail": "#8c959f",
    "link": "#0a58b0",
    "yes": "#17692f",
    "partly": "#835300",
    "no": "#b02318",
    "unknown": "#57606a",
    "near": "#a9dcb8",
    "s0": "#0a58b0",
    "s1": "#a8500a",
    "s2": "#17692f",
    "s3": "#8a3fa0",
    "s4": "#57606a",
}
DARK = {
    "ground": "#14171a",
    "raised": "#1f2429",
    "text": "#e8eaed",
    "faint": "#a9b1ba",
    "rule": "#3a4149",
    "rail": "#737c86",
    "link": "#7cb7ff",
    "yes": "#6fd492",
    "partly": "#e8b95c",
    "no": "#ff958b",
    "unknown": "#a9b1ba",
    "near": "#2a6040",
    "s0": "#7cb7ff",
    "s1": "#f0a35e",
    "s2": "#6fd492",
    "s3": "#d69be8",
    "s4": "#a9b1ba",
}


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


_SCREEN = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.25rem 1rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem}
h2{font-size:1.35rem;line-height:1.25;margin:0}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
h1,h2,h3,p,li,dd,figcaption,caption{overflow-wrap:anywhere}
p{margin:.5rem 0;max-width:44rem}
a{color:var(--link)}
.faint{color:var(--faint)}
.lead{font-size:1.1rem}
section{border-top:1px solid var(--rule);margin-top:2.25rem;padding-top:1.5rem}
.chips{list-style:none;display:flex;flex-wrap:wrap;gap:.5rem;padding:0;margin:1rem 0 1.5rem}
.chips a{display:flex;justify-content:space-between;align-items:baseline;gap:.65rem;padding:.5rem .65rem;
  white-space:nowrap;font-size:.95rem;
  border:1px solid var(--rule);border-radius:.5rem;background:var(--raised);color:var(--text);text-decoration:none}
.chips a:hover,.chips a:focus-visible{border-color:var(--link)}
.verdict{font-weight:650;white-space:nowrap}
.verdict.yes{color:var(--yes)}.verdict.partly{color:var(--partly)}
.verdict.no{color:var(--no)}.verdict.unknown{color:var(--unknown)}
.asked{display:flex;flex-wrap:wrap;align-items:baseline;gap:.35rem .9rem}
.figures{list-style:none;padding:0;margin:1.25rem 0;display:grid;gap:1.1rem 2.5rem;
  grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.figures li{min-width:0}
.figures .name{font-weight:600;display:flex;justify-content:space-between;gap:.75rem;align-items:baseline}
.figures .name .faint{font-weight:400;font-size:.85rem;white-space:nowrap}
.figures .meaning{font-size:.9rem;color:var(--faint);margin:0 0 .35rem}
.plain{font-size:1.15rem;margin:.25rem 0}
.key{font-size:.9rem;color:var(--faint)}
svg{display:block;overflow:visible;max-width:100%}
svg text{fill:var(--text);font-size:12px}
svg .value{font-weight:650;font-size:13px}
svg .faint,svg tspan.faint{fill:var(--faint);font-weight:400;font-size:12px}
svg .end{fill:var(--faint)}
.rail{stroke:var(--rail);stroke-width:2}.rail.thin{stroke-width:1}
.near{stroke:var(--near);stroke-width:9;stroke-linecap:butt}
.tick{stroke:var(--text);stroke-width:2}
.whisker{stroke:var(--link);stroke-width:2}
.dot{fill:var(--link);stroke:var(--ground);stroke-width:1.5}
.copy{fill:var(--ground);stroke:var(--text);stroke-width:1.5}
.charts{display:grid;gap:1.25rem 2.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.chart{margin:0;min-width:0}.chart figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem}
.chart figcaption .faint{font-weight:400}
.grid{stroke:var(--rule);stroke-width:1}.level{stroke:var(--faint);stroke-width:1.5;stroke-dasharray:2 4}
.mark{stroke:var(--no);stroke-width:1;stroke-dasharray:3 3}
svg .tickname{fill:var(--faint);font-size:11px;paint-order:stroke;stroke:var(--ground);stroke-width:3px}
.line{fill:none;stroke-width:1.75;vector-effect:non-scaling-stroke;stroke-linejoin:round;stroke-linecap:round}
.line.s0{stroke:var(--s0)}.line.s1{stroke:var(--s1);stroke-dasharray:7 3}
.line.s2{stroke:var(--s2);stroke-dasharray:2 4}
.line.s3{stroke:var(--s3);stroke-dasharray:9 3 2 3}.line.s4{stroke:var(--s4);stroke-dasharray:12 4}
svg .s0{fill:var(--s0)}svg .s1{fill:var(--s1)}svg .s2{fill:var(--s2)}svg .s3{fill:var(--s3)}svg .s4{fill:var(--s4)}
svg .line{fill:none}
.picture{margin:1.25rem 0}
.picture img{display:block;max-width:100%;height:auto;border-radius:.25rem;background:#f4f4f4}
.picture img.pixels{image-rendering:pixelated}
figcaption{font-size:.9rem;color:var(--faint);margin-top:.35rem}
.chart figcaption{color:var(--text)}
.scroll{overflow-x:auto;margin:1.25rem 0;background:
  linear-gradient(to left,var(--ground) 1.5rem,transparent) right/2.5rem 100% no-repeat local,
  linear-gradient(to left,var(--rule),transparent) right/.9rem 100% no-repeat scroll}
.scroll:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:0 0 .35rem}
th,td{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--rule);vertical-align:top;
  max-width:20rem;overflow-wrap:break-word;unicode-bidi:isolate}
th:only-child,td:only-child{max-width:44rem}
th{font-weight:600}tbody th{font-weight:400;min-width:8rem}
td.number,th.number{text-align:right;white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
.acts{padding-left:1.6rem}
.acts li{margin:.5rem 0}
.notes{padding-left:1.1rem;font-size:.92rem}
.notes li{margin:.3rem 0;max-width:44rem}
.note{font-size:.92rem;color:var(--faint)}
.warning{border-left:4px solid var(--partly);padding:.35rem .8rem;background:var(--raised)}
pre{background:var(--raised);border:1px solid var(--rule);border-radius:.35rem;padding:.7rem .8rem;
  white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.25rem 1.25rem;margin:1rem 0}
dt{color:var(--faint)}dd{margin:0;min-width:0}
footer{margin-top:2.5rem;font-size:.85rem;color:var(--faint)}
"""

_PHONE = """
@media (max-width:36rem){
h1{font-size:1.45rem}h2{font-size:1.2rem}
.name tspan{display:none}
.picture{overflow-x:auto}.picture img.wide{max-width:none;width:40rem}
th,td{max-width:11rem}th:only-child,td:only-child{max-width:22rem}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.45rem}
.chips{display:grid;grid-template-columns:1fr 1fr}
.chips a{font-size:.9rem;gap:.4rem;padding:.55rem .6rem}
}
"""

_PAPER = """
@media print{
:root{color-scheme:light;%s}
@page{margin:16mm 14mm}
body{font-size:10.5pt}
main{max-width:none;padding:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow:visible;background:none}
table{font-size:8pt}
section{break-inside:auto}
h2,h3,caption,.asked,.asked+.lead{break-after:avoid}
.figures,.charts{grid-template-columns:1fr 1fr}
.figures li,.chart,.picture,tr,pre{break-inside:avoid}
.picture img{max-height:200mm;object-fit:contain;object-position:left}
.name tspan{display:none}
a{color:inherit;text-decoration:none}
}
"""

STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}" + _SCREEN + _PHONE + _PAPER % _variables(LIGHT)
)
