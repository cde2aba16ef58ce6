"""Lists of boxes in one text file, a box or an image a line: CSV and keras-yolo3's."""
