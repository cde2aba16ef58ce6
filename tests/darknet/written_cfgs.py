"""Darknet's cfg files of networks whose own files are not at hand, written from their lists of layers."""

import re

_STAGES = (64, 128, 256, 512, 1024, 1024)


def cfg_text(lines, activation="mish", head="", size=512):
    """The text of a cfg, from one word and its numbers a layer.

    Args:
        lines: "c FILTERS SIZE STRIDE", with "linear" or "g32" behind it; "r LAYERS", "s FROM" and what follows the sum,
            "m SIZE STRIDE", "u", "y MASK".
        activation: of convolutions without another.
        head: lines of every `[yolo]`.
        size: side of the image in pixels.
    """
    text = [f"[net]\nwidth={size}\nheight={size}\nchannels=3\n"]
    for line in lines:
        kind, *words = line.split()
        if kind == "c":
            filters, side, stride, *more = words
            own = next((word for word in more if word != "g32"), activation)
            groups = "groups=32\n" if "g32" in more else ""
            text.append(
                f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={side}\nstride={stride}\npad=1\n"
                f"{groups}activation={own}\n"
            )
        elif kind == "y":
            count = len(words[0].split(","))
            last = "logistic" if "new_coords=1" in head else "linear"
            text.append(
                f"[convolutional]\nfilters={count * 85}\nsize=1\nstride=1\npad=1\nactivation={last}\n\n"
                f"[yolo]\nmask={words[0]}\nclasses=80\n{head}\n"
            )
        elif kind == "r":
            text.append(f"[route]\nlayers={','.join(words)}\n")
        elif kind == "s":
            text.append(f"[shortcut]\nfrom={words[0]}\nactivation={words[1]}\n")
        elif kind == "m":
            text.append(f"[maxpool]\nsize={words[0]}\nstride={words[1]}\n")
        else:
            text.append("[upsample]\nstride=2\n")
    return "\n".join(text)


def _new_coords(anchors):
    count = anchors.count(",") // 2 + 1
    return f"anchors={anchors}\nnum={count}\nscale_x_y=2.0\nnew_coords=1\nnms_kind=diounms\nbeta_nms=0.6\n"


def _count(lines):
    """How many layers Darknet counts: a level is two."""
    return sum(2 if line.startswith("y") else 1 for line in lines)


def scaled(width, blocks, plain_first, pairs, pooled, masks, anchors, levels_last):
    """YOLOv4 of cross-stage partial blocks: the lines of "Scaled-YOLOv4", and its head."""

    def w(filters):
        return int(filters * width)

    lines, ends = ["c 32 3 1"], []
    for stage, count in enumerate(blocks):
        full, half = w(_STAGES[stage]), w(_STAGES[stage] // 2)
        lines.append(f"c {full} 3 2")
        if plain_first and not stage:
            lines += [f"c {half} 1 1", f"c {full} 3 1", "s -3 linear"] * count
        else:
            lines += [f"c {half} 1 1", "r -2", f"c {half} 1 1"]
            lines += [f"c {half} 1 1", f"c {half} 3 1", "s -3 linear"] * count
            lines += [f"c {half} 1 1", f"r -1 {-(3 * count + 4)}", f"c {full} 1 1"]
        ends.append(len(lines) - 1)
    f = w(512)
    lines += [f"c {f} 1 1", "r -2", f"c {f} 1 1", f"c {f} 3 1", f"c {f} 1 1"]
    lines += ["m 5 1", "r -2", "m 9 1", "r -4", "m 13 1", "r -1 -3 -5 -6"]
    lines += [f"c {f} 1 1", f"c {f} 3 1"] * pooled + [f"r -1 {-(11 + 2 * pooled)}", f"c {f} 1 1"]
    widths = [w(filters) for filters in (128, 256, 512, 512)][: len(masks)]
    down, done = [len(lines) - 1], []

    def block(f):
        return [
            f"c {f} 1 1",
            f"c {f} 1 1",
            "r -2",
            *[f"c {f} 1 1", f"c {f} 3 1"] * pairs,
            f"r -1 {-(2 * pairs + 2)}",
            f"c {f} 1 1",
        ]

    for f, lateral in zip(widths[-2::-1], ends[-2 : -len(widths) - 1 : -1], strict=True):
        lines += [f"c {f} 1 1", "u", f"r {lateral}", f"c {f} 1 1", "r -1 -3", *block(f)]
        down.append(len(lines) - 1)
    for number, f in enumerate(widths):
        if number:
            if not levels_last:
                lines.append("r -4")
            lines += [f"c {f} 3 2", f"r -1 {down[-1 - number]}", *block(f)]
        done.append(_count(lines) - 1)
        if not levels_last:
            lines += [f"c {2 * f} 3 1", f"y {masks[number]}"]
    if levels_last:
        for f, end, mask in zip(widths, done, masks, strict=True):
            lines += [f"r {end}", f"c {2 * f} 3 1", f"y {mask}"]
    return cfg_text(lines, head=_new_coords(anchors))


V4 = "12,16, 19,36, 40,28, 36,75, 76,55, 72,146, 142,110, 192,243, 459,401"
P5 = "13,17, 31,25, 24,51, 61,45, 48,102, 119,96, 97,189, 217,184, 171,384, 324,451, 616,618, 800,800"
P6 = (
    "13,17, 31,25, 24,51, 61,45, 61,45, 48,102, 119,96, 97,189, 97,189, 217,184, 171,384, 324,451, "
    "324,451, 545,357, 616,618, 1024,1024"
)
_THREES, _FOURS = ("0,1,2", "3,4,5", "6,7,8"), ("0,1,2,3", "4,5,6,7", "8,9,10,11", "12,13,14,15")


def yolov4x_mish(_):
    return scaled(1.25, (1, 3, 10, 10, 5), True, 3, 2, _THREES, V4, False)


def yolov4_p5(_):
    return scaled(1, (1, 3, 15, 15, 7), False, 3, 1, _FOURS[:3], P5, True)


def yolov4_p6(_):
    return scaled(1, (1, 3, 15, 15, 7, 7), False, 3, 1, _FOURS, P6, True)


def yolov4_csp_swish(folder):
    return (folder / "yolov4-csp.cfg").read_text().replace("mish", "swish")


def yolov4_tiny_3l(folder):
    """A level more than yolov4-tiny.cfg, and yolov4.cfg's anchors."""
    text = (folder / "yolov4-tiny.cfg").read_text()
    text = re.sub(r"(?m)^anchors.*$", f"anchors = {V4}", text).replace("num=6", "num=9")
    text = text.replace("mask = 3,4,5", "mask = 6,7,8").replace("mask = 1,2,3", "mask = 3,4,5")
    head = text[text.rindex("[yolo]") :].replace("mask = 3,4,5", "mask = 0,1,2")
    last = cfg_text(["r -3", "c 64 1 1", "u", "r -1 15", "c 128 3 1"], "leaky").partition("\n\n")[2]
    return (
        f"{text}\n{last}\n[convolutional]\nsize=1\nstride=1\npad=1\nfilters=255\nactivation=linear\n\n{head}"
    )


def yolov1_paper(folder):
    """The paper's network: no normalisation, a dense layer for the local one, two boxes a cell."""
    text = re.sub(r"(?m)^batch_normalize.*\n", "", (folder / "yolov1.cfg").read_text())
    text = re.sub(r"\[local\][^[]*", "[connected]\noutput=4096\nactivation=leaky\n\n", text)
    return re.sub(r"(?m)^output\s*=\s*1715", "output=1470", text).replace("num=3", "num=2")


def csresnext50(folder):
    """CSPResNeXt-50 before the neck and the head of yolov4.cfg."""
    lines, ends = ["c 64 7 2", "m 2 2"], []
    for stage, count in enumerate((3, 3, 5, 2)):
        f = 128 * 2**stage
        if stage:
            lines.append(f"c {f} 3 2 g32")
        begin = " linear" if stage in (1, 2) else ""
        lines += [f"c {f} 1 1{begin}", "r -2", f"c {f if stage else 64} 1 1{begin}"]
        lines += [f"c {f} 1 1", f"c {f} 3 1 g32", f"c {f} 1 1 linear", "s -4 leaky"] * count
        lines += [f"c {f} 1 1", f"r -1 {-(4 * count + 4)}", f"c {2 * f} 1 1"]
        ends.append(len(lines) - 1)
    parts = re.split(r"(?m)^(?=\[)", (folder / "yolov4.cfg").read_text())
    first = next(i for i, part in enumerate(parts) if "filters=512" in part and "leaky" in part)
    neck = "".join(parts[first:])
    for old, new in ((85, ends[2]), (54, ends[1])):
        neck = re.sub(rf"(?m)^layers\s*=\s*{old}$", f"layers={new}", neck)
    return cfg_text(lines, "leaky", size=608) + "\n" + neck
