"""Pages of one file each: no network, light and dark, narrow and wide."""

from __future__ import annotations

import html
from collections.abc import Sequence

STYLE = """\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#57606a;--paper:#fff;--card:#f6f8fa;--rule:#d8dee4;--warn:#8a4600;
--c0:#0065a8;--c1:#b84a00;--c2:#007a56;--c3:#9c3f80;--c4:#6b5900}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4ae;--paper:#0f1318;--card:#181d24;--rule:#343b44;
--warn:#f0b46a;--c0:#62b5f0;--c1:#ff9a5c;--c2:#48d6a4;--c3:#eca6d2;--c4:#e8cf5a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem clamp(1rem,4vw,2.5rem) 4rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.55rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{max-width:46rem;margin:.4rem 0}.dim{color:var(--dim)}code{font-size:.92em;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));gap:1rem}
figure{margin:0;padding:.8rem .8rem .6rem;background:var(--card);border:1px solid var(--rule);border-radius:8px;
min-width:0}
figcaption{font-weight:600;margin-bottom:.3rem}figcaption small{font-weight:400;color:var(--dim)}
figure svg{display:block;width:100%;height:auto}
svg text{fill:var(--dim);font:12.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.mid{text-anchor:middle}.end{text-anchor:end}.grid{stroke:var(--rule)}.axis{stroke:var(--dim)}
.hue0{--c:var(--c0)}.hue1{--c:var(--c1)}.hue2{--c:var(--c2)}.hue3{--c:var(--c3)}.hue4{--c:var(--c4)}
.measured,.law,.bar,.ideal{fill:none;stroke:var(--c)}.measured{stroke-width:2.2}.bar{stroke-width:1.3}
.law{stroke-width:1.6;stroke-dasharray:2 4}.ideal{stroke:var(--dim);stroke-width:1.5;stroke-dasharray:8 4}
.mark{fill:var(--c);stroke:var(--c);stroke-width:1.5}.hollow{fill:var(--card)}
.band{fill:var(--rule);opacity:.6}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:.3rem 0 0;padding:0;font-size:.86rem}
.legend li{display:flex;align-items:center;gap:.4rem}.legend svg{width:34px;flex:none}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .9rem .3rem 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child,td.text{text-align:left}th{font-weight:600;color:var(--dim)}td.text{white-space:normal;min-width:9rem}
td.text:not(:first-child){min-width:16rem}.text{text-align:left!important}
.box{border:1px solid var(--rule);border-left-width:5px;border-radius:6px;padding:.5rem .9rem;margin:.8rem 0;
background:var(--card);max-width:52rem}.box ul{margin:.2rem 0;padding-left:1.2rem}.doubt{border-left-color:var(--warn)}
.doubt strong{color:var(--warn)}
@media(max-width:34rem){svg text{font-size:16px}table{font-size:.82rem}}
@media print{.charts{grid-template-columns:1fr 1fr}figure{break-inside:avoid}}
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole page."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(part for part in body if part) + "\n</body></html>\n"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = ()) -> str:
    """A table that scrolls where it is too wide; columns numbered in `text` hold sentences."""
    kinds = [" class=text" if number in text else "" for number in range(len(columns))]
    head = "".join(f"<th{kind}>{html.escape(column)}</th>" for kind, column in zip(kinds, columns, strict=True))
    lines = []
    for row in rows:
        cells = (f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def box(heading: str, says: Sequence[str], doubt: bool) -> str:
    """What must be known of the numbers, said in words and not by colour alone."""
    items = "".join(f"<li>{html.escape(one)}</li>" for one in says)
    kind = "box doubt" if doubt else "box"
    return f'<div class="{kind}"><strong>{html.escape(heading)}</strong>{f"<ul>{items}</ul>" if items else ""}</div>'


def paragraph(text: str, dim: bool = False) -> str:
    """Some sentences."""
    return f"<p{' class=dim' if dim else ''}>{html.escape(text)}</p>"


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{html.escape(text)}</h{level}>"
