"""What every driver is asked for: count, sum and maximum of a card's amounts over an hour of event time."""

from datetime import timedelta

WINDOW = timedelta(hours=1)
LATENESS = timedelta(minutes=5)
STEPS = 12
"""How many hopping windows an hour is cut into: as many as Millrace has tiles."""
PARTITIONS = 4
SESSION_SECONDS = 10
"""After that long a member that was killed is out of its group, so that the next one need not wait for a minute."""
