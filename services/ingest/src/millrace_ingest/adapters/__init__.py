"""Files that hold a history, read through pyarrow."""
