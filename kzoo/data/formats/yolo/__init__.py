"""YOLO: a description, images, and a text file of boxes for each."""
