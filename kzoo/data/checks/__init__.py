"""Looking for what is wrong with a dataset, image by image and as a whole, and the report of it."""
