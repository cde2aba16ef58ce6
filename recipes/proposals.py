r"""How many objects selective search has a box for, by the number of boxes.

    python recipes/proposals.py --data ../shared/data/bccd --split val --images 40
    python recipes/proposals.py --data shapes:32:256 --mode quality

The table of what it gave stands in kzoo/proposals/README.md.
"""

import argparse
import time

import kzoo
from kzoo.data.checks.check import require_sound
from kzoo.proposals import MODES, ProposalCache, recall, selective_search

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument(
    "--data", default="shapes:32:256", help="shapes:COUNT:SIDE, or boxes in any layout that kzoo reads"
)
parser.add_argument("--split", default=None, help="train, val or test; all where left out")
parser.add_argument("--mode", default="fast", choices=list(MODES))
parser.add_argument("--images", type=int, default=None, help="the first images alone")
parser.add_argument("--min-side", type=float, default=20, help="pixels that boxes are wide and high at least")
parser.add_argument("--width", type=int, default=None, help="pixels that images are scaled to before")
parser.add_argument("--cache", default=None, help="a folder that keeps the boxes")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

dataset = require_sound(kzoo.data.load(args.data, args.split), skip_faulty=True)
search = selective_search if args.cache is None else ProposalCache(args.cache)
found, objects, seconds = [], [], 0.0
for index in range(min(len(dataset), args.images or len(dataset))):
    sample = dataset[index]
    start = time.process_time()
    boxes = search(sample.image, mode=args.mode, seed=args.seed, min_side=args.min_side, width=args.width)
    seconds += time.process_time() - start
    found.append(boxes)
    objects.append(sample.boxes)

count = len(found)
print(
    f"{count} images, {sum(map(len, objects))} objects, {sum(map(len, found)) / count:.0f} boxes an image, ",
    end="",
)
print(f"{seconds / count:.2f} s of processor time an image")
for boxes, share in recall(found, objects).items():
    print(f"{boxes:5d} boxes: {share:.3f} of the objects at IoU .5")
