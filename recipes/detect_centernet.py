r"""Drawn circles, rectangles and triangles, or blood cells, with a small CenterNet, from scratch: objects as peaks.

    python recipes/detect_centernet.py
    python recipes/detect_centernet.py --data ../shared/data/bccd --image-size 320 --epochs 50 --batch-size 8 \
        --augment light
    python recipes/detect_centernet.py --model cornernet-squeeze --depth 0.5 --orders 2 --stacks 1 \
        --learning-rate 2e-3 --epochs 32
"""

import argparse

import kzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument(
    "--data", default="shapes:1000:128", help="shapes:COUNT:SIDE, or boxes in any layout that kzoo reads"
)
parser.add_argument(
    "--model",
    default="centernet-resnet18",
    help="one of the names `centernet...`, `cornernet...` or `extremenet`",
)
parser.add_argument("--run", default="runs/detect/centernet", help="the folder of the run")
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--image-size", type=int, default=128, help="a multiple of 32, of hourglasses 128")
parser.add_argument("--width", type=float, default=0.25)
parser.add_argument("--depth", type=float, default=1.0)
parser.add_argument(
    "--output-stride",
    type=int,
    default=8,
    help="of the backbone of centernet-resnet...: no coarser than objects are large; 32 as published",
)
parser.add_argument(
    "--orders", type=int, help="how often an hourglass halves its maps; as published where not given"
)
parser.add_argument("--stacks", type=int, help="number of hourglasses; as published where not given")
parser.add_argument("--augment", nargs="+", default=["flip", "flip_vertical", "rotate90"], help="transforms")
parser.add_argument("--learning-rate", type=float, default=2e-3)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

head = {"score_threshold": 0.001}
if args.model.startswith("centernet-resnet"):
    head["output_stride"] = args.output_stride
head |= {name: getattr(args, name) for name in ("orders", "stacks") if getattr(args, name)}

# What falls below the least score of a detection still counts for average precision.
result = kzoo.train(
    args.model,
    args.data,
    epochs=args.epochs,
    batch_size=args.batch_size,
    image_size=args.image_size,
    width=args.width,
    depth=args.depth,
    learning_rate=args.learning_rate,
    augment=args.augment,
    head=head,
    skip_faulty=True,
    seed=args.seed,
    run=args.run,
    exist_ok=True,
)

# What it is worth on images it has not seen, and a file for telephones.
metrics = kzoo.evaluate(result.model, args.data, split="test", skip_faulty=True)
print(f"{args.run}: test {metrics}")
kzoo.export(result.model, f"{args.run}/centernet.tflite")
