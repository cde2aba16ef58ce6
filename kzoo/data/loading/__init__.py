"""Records to batches: order, workers, caches."""
