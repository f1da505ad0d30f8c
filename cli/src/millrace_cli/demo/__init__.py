"""The demo: a live stream whose concept changes, and the loop that finds it, retrains and recovers."""
