"""Lists of boxes, a line each: CSV and keras-yolo3."""
