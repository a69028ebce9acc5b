"""The parts of reading and writing graph files; `documents` and `storage` put them together."""
