"""COCO: one JSON file for all images."""
