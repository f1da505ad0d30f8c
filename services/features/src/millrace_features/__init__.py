"""raw-data in, feature rows and the online store out."""
