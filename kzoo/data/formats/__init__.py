"""Files on disk to records, and back: a folder or file for each format."""
