"""The machine: files, memory, progress on a terminal, libraries that talk too much."""
