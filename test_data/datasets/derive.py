"""Derives airports.csv and flights.csv from npm's vega-datasets 3.2.1.

    python3 derive.py                  writes the two files beside this script
    python3 derive.py --check          writes nothing; exits 1 when a file differs from what would be written
    python3 derive.py --package FILE   uses a vega-datasets-3.2.1.tgz that is already here, not the network

Needs Python 3.10 or later, and npm unless --package is given. The package is checked against npm's integrity
hash before it is read. The output is a function of the package alone: two runs are byte-identical. Every
property that README.md promises of the data is checked here before anything is written.
"""

import argparse
import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from datetime import datetime
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

PACKAGE = "vega-datasets@3.2.1"
PACKAGE_SHA512 = "lTSwZA6yq6qSU2YZm+6bqILiIvTPPxn4itir7jPGFmHIdPvUfQ9pCzzcrklYywMJgLUbaIeSkZQdiJd6wBxPug=="
HERE = Path(__file__).resolve().parent

AIRPORT_COLUMNS = ["iata", "name", "city", "state", "country", "latitude", "longitude"]
FLIGHT_COLUMNS = ["id", "departed_at", "delay_minutes", "distance_miles", "origin", "destination"]

# The package has the wrong hemisphere for the airports of these Pacific territories; upstream corrected the
# signs after 3.2.1 (vega/vega-datasets pull request 729). Territory -> (sign of latitude, sign of longitude).
HEMISPHERE = {"AS": (-1, -1), "CQ": (1, 1), "GU": (1, 1)}
HEMISPHERE_CORRECTIONS = 8

EARTH_RADIUS_MILES = 3958.8


def read_package(path: Path | None) -> tuple[str, str]:
    """The text of data/airports.csv and data/flights-10k.json."""
    with tempfile.TemporaryDirectory() as scratch:
        if path is None:
            command = ["npm", "pack", "--silent", "--pack-destination", scratch, PACKAGE]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            (path,) = Path(scratch).glob("*.tgz")
        data = path.read_bytes()
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != PACKAGE_SHA512:
        sys.exit(f"{path} is not {PACKAGE}: its SHA-512 is {digest}, expected {PACKAGE_SHA512}")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:

        def member(name: str) -> str:
            file = tar.extractfile(f"package/data/{name}")
            assert file is not None, f"the package has no data/{name}"
            return file.read().decode("utf-8")

        return member("airports.csv"), member("flights-10k.json")


def signed(text: str, sign: int) -> str:
    """A decimal number's text with that sign, its digits untouched."""
    return ("-" if sign < 0 else "") + text.lstrip("-")


def derive_airports(source: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(source, newline="")))
    corrected = 0
    for row in rows:
        if row["state"] in HEMISPHERE:
            lat, lon = HEMISPHERE[row["state"]]
            before = row["latitude"], row["longitude"]
            row["latitude"], row["longitude"] = signed(before[0], lat), signed(before[1], lon)
            corrected += before != (row["latitude"], row["longitude"])
        # The source spells an unknown city or state "NA"; an empty CSV field is null here.
        for column in ("city", "state"):
            if row[column] == "NA":
                row[column] = ""
    assert corrected == HEMISPHERE_CORRECTIONS, f"{corrected} hemispheres corrected"
    rows.sort(key=lambda row: row["iata"])
    return rows


def derive_flights(source: str) -> list[dict[str, object]]:
    """The package's order is by departure; `id` counts from 1 in (departed_at, origin, destination) order."""
    rows = [
        {
            "departed_at": datetime.strptime(row["date"], "%Y/%m/%d %H:%M").isoformat(),
            "delay_minutes": row["delay"],
            "distance_miles": row["distance"],
            "origin": row["origin"],
            "destination": row["destination"],
        }
        for row in json.loads(source)
    ]
    rows.sort(key=lambda row: (row["departed_at"], row["origin"], row["destination"]))
    return [{"id": number, **row} for number, row in enumerate(rows, start=1)]


def great_circle_miles(a: dict[str, str], b: dict[str, str]) -> float:
    lat_a, lon_a, lat_b, lon_b = (
        radians(float(x)) for x in (a["latitude"], a["longitude"], b["latitude"], b["longitude"])
    )
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_MILES * asin(sqrt(h))


def verify(airports: list[dict[str, str]], flights: list[dict[str, object]]) -> None:
    """What README.md promises of the data."""
    by_code = {row["iata"]: row for row in airports}
    assert len(by_code) == len(airports), "airports.iata is unique"
    for row in airports:
        assert all(row[c] for c in AIRPORT_COLUMNS if c not in ("city", "state")), f"a null in {row}"
        assert all(row[c] == row[c].strip() for c in AIRPORT_COLUMNS), f"outer spaces in {row}"
        assert -90 <= float(row["latitude"]) <= 90 and -180 <= float(row["longitude"]) <= 180, row
    keys = {(row["departed_at"], row["origin"], row["destination"]) for row in flights}
    assert len(keys) == len(flights), "(departed_at, origin, destination) is unique"
    for row in flights:
        assert row["origin"] in by_code and row["destination"] in by_code, f"an unknown airport in {row}"
        assert row["origin"] != row["destination"], row
        assert type(row["delay_minutes"]) is int and -1440 < row["delay_minutes"] < 1440, row
        assert type(row["distance_miles"]) is int and row["distance_miles"] > 0, row
        # The stated distance against the airports' coordinates: the two tables speak of the same places.
        miles = great_circle_miles(by_code[row["origin"]], by_code[row["destination"]])
        assert abs(miles - row["distance_miles"]) <= max(10, 0.02 * miles), f"{row}: {miles:.0f} miles by coordinates"


def to_csv(columns: list[str], rows: list[dict]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--package", type=Path, metavar="FILE", help="a vega-datasets-3.2.1.tgz")
    arguments = parser.parse_args()

    airports_source, flights_source = read_package(arguments.package)
    airports, flights = derive_airports(airports_source), derive_flights(flights_source)
    verify(airports, flights)

    stale = 0
    files = {"airports.csv": to_csv(AIRPORT_COLUMNS, airports), "flights.csv": to_csv(FLIGHT_COLUMNS, flights)}
    for name, data in files.items():
        path = HERE / name
        differs = not path.exists() or path.read_bytes() != data
        if arguments.check:
            stale += differs
        elif differs:
            path.write_bytes(data)
        state = "differs" if differs and arguments.check else "written" if differs else "up to date"
        rows = data.count(b"\n") - 1  # no field holds a line break, so a line is a row
        print(f"{name}: {rows} rows, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}, {state}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
