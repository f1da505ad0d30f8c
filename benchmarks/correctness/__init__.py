"""What the features service and its peers say of the same streams, beside exact windows."""
