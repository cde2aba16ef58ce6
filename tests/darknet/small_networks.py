"""Text of small networks."""

NET = "[net]\nwidth=16\nheight=12\nchannels=3\n"
# A connected layer sees where every number lies; an average would not.
END = "\n[connected]\noutput=5\nactivation=linear\n[softmax]\n"
NORM = "batch_normalize=1"


def conv(filters, *lines):
    """A padded 3x3 convolution's section, with further lines."""
    return "\n".join(
        ["[convolutional]", f"filters={filters}", "size=3", "pad=1", "activation=leaky", *lines, ""]
    )
