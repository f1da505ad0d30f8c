"""Feast's online store in Redis: the same values as three feature views, read with get_online_features."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks.features.drivers.answers import BATCH, asked, clock, spare_the_collector, without_warming
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float32, Int64

VIEWS = {"counts": "n_", "means": "mean_", "maxima": "most_"}
SUFFIXES = ("1m", "1h", "24h")
REFERENCES = [f"{view}:{prefix}{suffix}" for view, prefix in VIEWS.items() for suffix in SUFFIXES]


def opened(folder: Path, redis: str) -> FeatureStore:
    """Return a store whose registry is a file and whose online store is Redis."""
    return FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "redis", "connection_string": redis},
            entity_key_serialization_version=3,
        )
    )


def fill(store: FeatureStore, folder: Path, values: dict[str, dict[str, Any]]) -> None:
    """Declare the views and write every card's values."""
    card = Entity(name="card", join_keys=["card"])
    frame = pd.DataFrame({"card": list(values), "event_timestamp": datetime.now(UTC)})
    for name in (reference.partition(":")[2] for reference in REFERENCES):
        kind = "int64" if name.startswith("n_") else "float32"
        column = [found[name] for found in values.values()]
        frame[name] = pd.array(column, dtype="Int64") if kind == "int64" else pd.Series(column, dtype=kind)
    frame["n_1m"] = frame["n_1m"].astype("int64")
    path = folder / "cards.parquet"
    frame.to_parquet(path)
    source = FileSource(name="cards", path=str(path), timestamp_field="event_timestamp")
    views = [
        FeatureView(
            name=view,
            entities=[card],
            schema=[Field(name=prefix + suffix, dtype=Int64 if view == "counts" else Float32) for suffix in SUFFIXES],
            source=source,
        )
        for view, prefix in VIEWS.items()
    ]
    store.apply([card, *views])
    for view, prefix in VIEWS.items():
        store.write_to_online_store(view, frame[["card", "event_timestamp", *(prefix + suffix for suffix in SUFFIXES)]])


def agrees(store: FeatureStore, values: dict[str, dict[str, Any]], cards: list[str]) -> bool:
    """Say whether the store answers with the values that were written."""
    found = store.get_online_features(REFERENCES, [{"card": card} for card in cards]).to_dict()
    wanted = [[values[card][name.partition(":")[2]] for card in cards] for name in REFERENCES]
    return [found[name.partition(":")[2]] for name in REFERENCES] == wanted


def main() -> None:
    """Print the times; with --values, write them first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cards", type=Path, required=True)
    parser.add_argument("--values", type=Path, required=True)
    parser.add_argument("--reads", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fill", action="store_true")
    given = parser.parse_args()
    cards, values = json.loads(given.cards.read_text()), json.loads(given.values.read_text())
    store = opened(given.folder, given.redis)
    if given.fill:
        fill(store, given.folder, values)
    times: dict[str, Any] = {"agrees": agrees(store, values, cards[:BATCH])}
    spare_the_collector()
    for name, size, count in (("single", 1, given.reads), ("batch", BATCH, given.reads // 10)):
        seconds = []
        for chosen in asked(cards, count, size, given.seed):
            rows = [{"card": card} for card in chosen]
            started = clock()
            store.get_online_features(REFERENCES, rows).to_dict()
            seconds.append(clock() - started)
        times[name] = without_warming(seconds)
    print(json.dumps(times))


if __name__ == "__main__":
    main()
