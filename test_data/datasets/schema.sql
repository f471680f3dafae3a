-- The two tables of this folder, in RustyDB's SQL. Columns stand in the order of the CSV files' headers.
-- flights.origin and flights.destination are airports.iata; README.md has types, units and where the data is from.

CREATE TABLE airports (
    iata text PRIMARY KEY,
    name text NOT NULL,
    city text,
    state text,
    country text NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL
);

CREATE TABLE flights (
    id integer PRIMARY KEY,
    departed_at timestamp NOT NULL,
    delay_minutes smallint NOT NULL,
    distance_miles smallint NOT NULL,
    origin text NOT NULL,
    destination text NOT NULL,
    UNIQUE (departed_at, origin, destination)
);
