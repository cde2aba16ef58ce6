r"""Drawn circles, rectangles and triangles with a small RT-DETR, from scratch: queries that find an object each.

    python recipes/detect_rt_detr.py
    python recipes/detect_rt_detr.py --data ../shared/data/bccd --image-size 320 --epochs 50 --queries 60 \
        --denoising 50 --augment rt-detr
    python recipes/detect_rt_detr.py --model d-fine-n
"""

import argparse

import kzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument(
    "--data", default="shapes:1000:128", help="shapes:COUNT:SIDE, or boxes in any layout that kzoo reads"
)
parser.add_argument(
    "--model", default="rt-detr-r18", help="one of the names `rt-detr...`, `d-fine...` or `dino...`"
)
parser.add_argument("--run", default="runs/detect/rt_detr", help="the folder of the run")
parser.add_argument("--epochs", type=int, default=25)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--image-size", type=int, default=128, help="a multiple of 32")
parser.add_argument("--width", type=float, default=0.25)
parser.add_argument("--queries", type=int, default=30, help="more than an image has objects")
parser.add_argument(
    "--denoising", type=int, default=20, help="pairs of queries that are made of the truth in training"
)
parser.add_argument(
    "--augment", nargs="+", default=["flip", "flip_vertical", "rotate90"], help="transforms, or a preset"
)
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--burn-in", type=int, default=100, help="batches in which the rate rises")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

# As the authors train: little decay, gradients cut short, averaged weights. From scratch the rate is ten times theirs.
result = kzoo.train(
    args.model,
    args.data,
    epochs=args.epochs,
    batch_size=args.batch_size,
    image_size=args.image_size,
    width=args.width,
    head={"queries": args.queries, "denoising": args.denoising},
    optimizer="adamw",
    learning_rate=args.learning_rate,
    weight_decay=1e-4,
    clip_norm=0.1,
    burn_in=args.burn_in,
    augment=args.augment[0] if len(args.augment) == 1 else args.augment,
    skip_faulty=True,
    seed=args.seed,
    run=args.run,
    exist_ok=True,
)

# What it is worth on images it has not seen, and a file for telephones.
metrics = kzoo.evaluate(result.model, args.data, split="test", skip_faulty=True)
print(f"{args.run}: test {metrics}")
kzoo.export(result.model, f"{args.run}/rt_detr.tflite")
