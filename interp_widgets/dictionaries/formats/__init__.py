"""One module per file format, each with `matches(folder)` and `load(folder, ...)`."""
