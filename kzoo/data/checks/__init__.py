"""What can be wrong with a dataset, and how it is told."""
