"""An entity id as text: what stands as the Kafka key, in rows and in Redis."""

import json


def key_text(parts: tuple[str | int, ...]) -> str:
    """Return an entity id as text: one part as it is, several as a compact JSON array.

    >>> key_text((4929,)), key_text(("de", 7))
    ('4929', '["de",7]')
    """
    if len(parts) == 1:
        return str(parts[0])
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
