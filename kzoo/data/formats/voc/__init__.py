"""Pascal VOC: an XML file of boxes an image, masks as palette PNGs, and lists of images."""
