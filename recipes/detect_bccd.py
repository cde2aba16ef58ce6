"""Blood cells: yolov3-tiny from scratch on 205 photographs.

    python recipes/detect_bccd.py --data ../shared/data/bccd

Test split, 72 photographs, 320 pixels, seed 0: see the README's table of recipes.
"""

import argparse

import keras

import kzoo
from kzoo.data.anchors import kmeans_anchors
from kzoo.data.check import require_sound
from kzoo.data.loader import batches
from kzoo.evaluation import evaluate
from kzoo.training.callbacks import AveragePrecision

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="../shared/data/bccd", help="Pascal VOC, YOLO or COCO folder")
parser.add_argument("--epochs", type=int, default=50)
parser.add_argument("--image-size", type=int, default=320)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
