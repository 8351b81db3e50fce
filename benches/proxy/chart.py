"""A bar chart of CPU time, as SVG: one panel per case, each with its own scale."""

import statistics
from xml.sax.saxutils import escape

WIDTH, LABELS, BAR, GAP, HEAD = 760, 190, 18, 6, 34
OURS, OTHERS = "#2b6cb0", "#a0aec0"


def write(path, cases, kinds, cells):
    """Writes the chart. The keys of `cells` are the names of a case and a proxy; a case without cells has no panel."""
    parts, y = [], HEAD
    parts.append(text(10, 20, "CPU seconds of the proxy per 100,000 requests (less is better)", "bold"))
    for case in cases:
        found = [
            (kind.name, statistics.median(cells[case.name, kind.name].cpu))
            for kind in kinds
            if (case.name, kind.name) in cells
        ]
        if not found:
            continue
        y += 18
        parts.append(text(10, y, case.about, "bold"))
        y += 8
        longest = max(value for _, value in found)
        for name, value in found:
            length = (WIDTH - LABELS - 70) * value / longest
            color = OURS if name == "tower-proxy" else OTHERS
            parts.append(text(LABELS - 8, y + 13, name, anchor="end"))
            parts.append(
                f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{color}"/>'
            )
            parts.append(text(LABELS + length + 6, y + 13, f"{value:.2f}"))
            y += BAR + GAP
    height = y + 10
    with open(path, "w") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        )
        file.write("\n".join(parts) + "\n</svg>\n")


def text(x, y, content, weight="normal", anchor="start"):
    place = f'x="{x:.1f}" y="{y}" font-weight="{weight}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(content)}</text>"
