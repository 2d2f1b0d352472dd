"""The table and the picture of a result: medians over the rounds, with the range."""

import json
import statistics
import sys
from typing import Any

from servers import HERE

CLIENTS = ("1", "16", "64")


def main(name: str) -> None:
    """Print the table of `results/<name>.json` and draw `results/<name>.svg`."""
    result = json.loads((HERE / "results" / f"{name}.json").read_text())
    rows = collect(result["rounds"])
    differences = compare(result["rounds"])
    machine = result["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores ({', '.join(machine['features'])}), {machine['time']}\n")
    print(
        "| server | "
        + " | ".join(f"{n} client{'s' * (n != '1')}, requests/s" for n in CLIENTS)
        + " | 1 client, median ms | PSS, MB | largest difference of an answer |"
    )
    print("|---|---|---|---|---|---|---|")
    for server in sorted(rows, key=lambda server: -middle(rows[server]["16"])):
        cells = [spread(rows[server][clients]) for clients in CLIENTS]
        cells += [spread(rows[server]["p50"]), f"{middle(rows[server]['pss']):.0f}"]
        print(f"| {server} | " + " | ".join(cells) + f" | {differences[server]:.4f} |")
    for ours, found in ratios(rows).items():
        print(f"\n{ours}: {found}")
    (HERE / "results" / f"{name}.svg").write_text(picture({s: middle(r["16"]) for s, r in rows.items()}))


def collect(rounds: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Server -> clients -> requests per second in each round; `p50` is the latency with one client, in ms."""
    rows: dict[str, dict[str, list[float]]] = {}
    for figures in rounds:
        for server, found in figures.items():
            if found is None:
                continue
            row = rows.setdefault(server, {key: [] for key in (*CLIENTS, "p50", "pss")})
            for clients in CLIENTS:
                row[clients].append(found[clients]["rps"])
            row["p50"].append(found["1"]["p50"])
            row["pss"].append(found["pss"])
    return rows


def compare(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Server -> the largest difference of its probabilities from the middle of all servers', over the texts asked."""
    answers = {server: found["answers"] for figures in rounds for server, found in figures.items() if found}
    usual = [statistics.median(column) for column in zip(*answers.values(), strict=True)]
    return {server: max(abs(a - b) for a, b in zip(own, usual, strict=True)) for server, own in answers.items()}


def ratios(rows: dict[str, dict[str, list[float]]]) -> dict[str, str]:
    """What each of ours does against the best of the peers, for each number of clients."""
    peers = [row for server, row in rows.items() if not server.startswith("matinee")]
    found = {}
    for server, row in rows.items():
        if server.startswith("matinee") and peers:
            times = [f"{n}: {middle(row[n]) / max(middle(peer[n]) for peer in peers):.2f}×" for n in CLIENTS]
            latency = middle(row["p50"]) / min(middle(peer["p50"]) for peer in peers)
            found[server] = f"against the best peer at clients {', '.join(times)}; one client's latency {latency:.2f}×"
    return found


def middle(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"**{middle(values):.1f}** ({min(values):.1f}–{max(values):.1f})"


def picture(values: dict[str, float]) -> str:
    """A bar for each server, longest first, as SVG."""
    bars = []
    most = max(values.values())
    for place, (server, value) in enumerate(sorted(values.items(), key=lambda item: -item[1])):
        y = 24 + place * 34
        color = "#b3202c" if server.startswith("matinee") else "#8a8f98"
        width = max(2.0, 380 * value / most)
        bars.append(
            f'<text x="8" y="{y}" class="n">{server}</text>'
            f'<rect x="8" y="{y + 5}" width="{width:.1f}" height="11" rx="2" fill="{color}"/>'
            f'<text x="{width + 14:.1f}" y="{y + 15}" class="v">{value:.0f}</text>'
        )
    height = 24 + len(values) * 34
    style = ".n{font:13px sans-serif;fill:#555}.v{font:bold 12px sans-serif;fill:#555}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 460 {height}" role="img">'
    title = "<title>requests a second, 16 clients</title>"
    return f"{head}{title}<style>{style}</style>{''.join(bars)}</svg>\n"


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "servers")
