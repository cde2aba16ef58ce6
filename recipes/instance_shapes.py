r"""Drawn shapes, each with its own mask, with a small Mask R-CNN from scratch; or any objects that have masks.

    python recipes/instance_shapes.py
    python recipes/instance_shapes.py --data ../shared/data/nuclei --image-size 256 --smallest 8 --epochs 40 \
        --augment flip flip_vertical rotate90 affine color

Figures are of boxes and of masks.
"""

import argparse

import kzoo
from kzoo.ops.anchors import retina_anchors

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument(
    "--data", default="shapes:1000:128", help="outlines or masks in any layout that kzoo reads"
)
parser.add_argument("--model", default="mask-rcnn", help="mask-rcnn or mask-rcnn-v2")
parser.add_argument("--run", default="runs/instance/mask-rcnn", help="the folder of the run")
parser.add_argument("--backbone", default="resnet18")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--image-size", type=int, default=128)
parser.add_argument("--smallest", type=int, default=8, help="side in pixels of the smallest square anchor")
parser.add_argument("--width", type=float, default=0.25)
parser.add_argument("--regions", type=int, default=64, help="regions of an image that are trained on")
parser.add_argument("--augment", nargs="+", default=["flip", "flip_vertical", "rotate90"])
parser.add_argument("--learning-rate", type=float, default=4e-3)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

# The paper's anchors begin at 32 pixels, of photographs of 800.
anchors = retina_anchors([args.smallest * 2**level for level in range(5)], octaves=1)
result = kzoo.train(
    args.model,
    args.data,
    epochs=args.epochs,
    batch_size=args.batch_size,
    image_size=args.image_size,
    width=args.width,
    backbone=args.backbone,
    anchors=[side for level in anchors for shape in level for side in shape],
    learning_rate=args.learning_rate,
    augment=args.augment,
    head={
        "score_threshold": 0.001,
        "region_samples": args.regions,
        "anchors_kept": (300, 200),
        "proposals": (300, 200),
    },
    seed=args.seed,
    run=args.run,
    exist_ok=True,
)

# What it is worth on images it has not seen: of boxes and of masks.
metrics = kzoo.evaluate(result.model, args.data, split="test")
print(f"{args.run}: test {metrics}")
