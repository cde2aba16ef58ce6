"""YOLO: a description of classes and parts, images, and a text file of boxes or outlines for each."""
