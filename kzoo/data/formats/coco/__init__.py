"""COCO: one JSON file for all images, with boxes, outlines and crowds."""
