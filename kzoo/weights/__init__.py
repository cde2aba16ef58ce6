"""Other people's numbers as our variables: Keras's files, Darknet's, and what was published."""
