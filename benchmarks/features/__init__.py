"""How fast the features service is, beside its peers: `make bench-features`."""
