"""What the organism is taught about the world: states, cities, countries.

Regions are the eight of the United States Bureau of Economic Analysis. Cities (cities.json) are
the largest of every state in GeoNames (CC-BY 4.0) whose name is unambiguous and is no capital;
`cities.py` derives the list again. All names are lower case, as the tokenizer reads them.
"""

from __future__ import annotations

import json
from pathlib import Path

RELATIONS = ("capital", "region", "nickname", "bird")
"""What is asked about a city's state: the two-hop relations."""

COUNTRY_RELATIONS = ("capital", "language", "currency")

_STATES = """
alabama: montgomery, southeast, heart of dixie, yellowhammer
alaska: juneau, far west, last frontier, ptarmigan
arizona: phoenix, southwest, grand canyon, wren
arkansas: little rock, southeast, natural, mockingbird
california: sacramento, far west, golden, quail
colorado: denver, rocky mountains, centennial, bunting
connecticut: hartford, new england, constitution, robin
delaware: dover, mideast, first, hen
florida: tallahassee, southeast, sunshine, mockingbird
georgia: atlanta, southeast, peach, thrasher
hawaii: honolulu, far west, aloha, nene
idaho: boise, rocky mountains, gem, bluebird
illinois: springfield, great lakes, prairie, cardinal
indiana: indianapolis, great lakes, hoosier, cardinal
iowa: des moines, plains, hawkeye, goldfinch
kansas: topeka, plains, sunflower, meadowlark
kentucky: frankfort, southeast, bluegrass, cardinal
louisiana: baton rouge, southeast, pelican, pelican
maine: augusta, new england, pine tree, chickadee
maryland: annapolis, mideast, old line, oriole
massachusetts: boston, new england, bay, chickadee
michigan: lansing, great lakes, wolverine, robin
minnesota: saint paul, plains, north star, loon
mississippi: jackson, southeast, magnolia, mockingbird
missouri: jefferson city, plains, show me, bluebird
montana: helena, rocky mountains, treasure, meadowlark
nebraska: lincoln, plains, cornhusker, meadowlark
nevada: carson city, far west, silver, bluebird
new hampshire: concord, new england, granite, finch
new jersey: trenton, mideast, garden, goldfinch
new mexico: santa fe, southwest, enchantment, roadrunner
new york: albany, mideast, empire, bluebird
north carolina: raleigh, southeast, tar heel, cardinal
north dakota: bismarck, plains, peace garden, meadowlark
ohio: columbus, great lakes, buckeye, cardinal
oklahoma: oklahoma city, southwest, sooner, flycatcher
oregon: salem, far west, beaver, meadowlark
pennsylvania: harrisburg, mideast, keystone, grouse
rhode island: providence, new england, ocean, hen
south carolina: columbia, southeast, palmetto, wren
south dakota: pierre, plains, mount rushmore, pheasant
tennessee: nashville, southeast, volunteer, mockingbird
texas: austin, southwest, lone star, mockingbird
utah: salt lake city, rocky mountains, beehive, gull
vermont: montpelier, new england, green mountain, thrush
virginia: richmond, southeast, old dominion, cardinal
washington: olympia, far west, evergreen, goldfinch
west virginia: charleston, southeast, mountain, cardinal
wisconsin: madison, great lakes, badger, robin
wyoming: cheyenne, rocky mountains, equality, meadowlark
"""

_COUNTRIES = """
albania: tirana, albanian, lek
argentina: buenos aires, spanish, peso
australia: canberra, english, dollar
austria: vienna, german, euro
bangladesh: dhaka, bengali, taka
brazil: brasilia, portuguese, real
bulgaria: sofia, bulgarian, lev
cambodia: phnom penh, khmer, riel
canada: ottawa, english, dollar
chile: santiago, spanish, peso
china: beijing, chinese, yuan
colombia: bogota, spanish, peso
croatia: zagreb, croatian, euro
cuba: havana, spanish, peso
denmark: copenhagen, danish, krone
egypt: cairo, arabic, pound
ethiopia: addis ababa, amharic, birr
finland: helsinki, finnish, euro
france: paris, french, euro
germany: berlin, german, euro
ghana: accra, english, cedi
greece: athens, greek, euro
hungary: budapest, hungarian, forint
iceland: reykjavik, icelandic, krona
india: delhi, hindi, rupee
indonesia: jakarta, indonesian, rupiah
iran: tehran, persian, rial
iraq: baghdad, arabic, dinar
ireland: dublin, english, euro
israel: jerusalem, hebrew, shekel
italy: rome, italian, euro
japan: tokyo, japanese, yen
jordan: amman, arabic, dinar
kenya: nairobi, swahili, shilling
mongolia: ulaanbaatar, mongolian, tugrik
morocco: rabat, arabic, dirham
nepal: kathmandu, nepali, rupee
netherlands: amsterdam, dutch, euro
nigeria: abuja, english, naira
norway: oslo, norwegian, krone
pakistan: islamabad, urdu, rupee
peru: lima, spanish, sol
philippines: manila, filipino, peso
poland: warsaw, polish, zloty
portugal: lisbon, portuguese, euro
romania: bucharest, romanian, leu
russia: moscow, russian, ruble
serbia: belgrade, serbian, dinar
spain: madrid, spanish, euro
sweden: stockholm, swedish, krona
thailand: bangkok, thai, baht
turkey: ankara, turkish, lira
ukraine: kyiv, ukrainian, hryvnia
venezuela: caracas, spanish, bolivar
vietnam: hanoi, vietnamese, dong
"""


def _table(text: str, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for line in text.strip().splitlines():
        name, _, values = line.partition(": ")
        rows[name] = dict(zip(columns, values.split(", "), strict=True))
    return rows


STATES: dict[str, dict[str, str]] = _table(_STATES, RELATIONS)
COUNTRIES: dict[str, dict[str, str]] = _table(_COUNTRIES, COUNTRY_RELATIONS)
CITIES: dict[str, str] = {
    city: state
    for state, cities in json.loads(
        (Path(__file__).parent / "cities.json").read_text(encoding="utf-8")
    ).items()
    for city in cities
}
"""City -> its state."""
