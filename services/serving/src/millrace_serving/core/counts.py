"""What serving did since start."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Totals. `skipped_no_champion` are rows that came before there was a model to score them."""

    scored: int = 0
    skipped_no_champion: int = 0
    answered: int = 0
    errors: int = 0
    load_failures: int = 0
    unknown_models: int = 0
