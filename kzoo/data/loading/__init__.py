"""From a dataset to batches: the order of an epoch, decoded images kept, and threads or processes that work ahead."""
