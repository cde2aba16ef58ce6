r"""Faster R-CNN in the four steps of its paper: proposals and detector learn in turn, and share their convolutions.

    python recipes/alternate_faster_rcnn.py

`kzoo train faster-rcnn-vgg16` trains both at once instead.
"""

import argparse

import keras
import numpy as np

import kzoo
from kzoo.data.loading.loader import batches

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="shapes:400:128", help="boxes in any layout that kzoo reads")
parser.add_argument("--image-size", type=int, default=128)
parser.add_argument("--width", type=float, default=0.25)
parser.add_argument("--epochs", type=int, default=10, help="epochs of each step")
parser.add_argument("--out", default="runs/alternate.keras", help="the trained model")
args = parser.parse_args()
keras.utils.set_random_seed(0)
train = kzoo.data.load(args.data, "train")
size = (args.image_size, args.image_size)
PROPOSALS = 300


def proposals_of(model):
    """What gives the boxes that a Faster R-CNN's first stage proposes for an image of the dataset, each image once."""
    known = {}

    def propose(image):
        key = image.tobytes()
        if key not in known:
            scaled = keras.ops.image.resize(np.float32(image)[None], size)
            outputs = model.head(model.features(scaled), training=False)
            scale = np.float32(image.shape[1::-1] * 2) / np.float32(size[::-1] * 2)
            boxes = keras.ops.convert_to_numpy(outputs["proposals"][0]) * scale  # (P, 4) pixels of the image
            known[key] = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=-1)]
        return known[key]

    propose.count = PROPOSALS
    return propose


def build(name, **options):
    common = {"image_size": size, "width": args.width, "batch_norm": True, "dropout": 0.0}
    return kzoo.build(name, num_classes=len(train.classes), names=train.classes, **common, **options)


def first_stage():
    # Squares and oblongs of an eighth to half of the image; only proposals are trained.
    sides = [args.image_size * share for share in (1 / 8, 1 / 4, 1 / 2)]
    anchors = [[shape for s in sides for shape in ((s, s), (1.4 * s, s / 1.4), (s / 1.4, 1.4 * s))]]
    options = {"anchors": anchors, "rpn_inside": False, "rpn_smallest": 4.0, "score_threshold": 0.001}
    return build("faster-rcnn-vgg16", proposals=(PROPOSALS, PROPOSALS), **options)


def learn(step, model, proposals=None):
    if proposals is None:  # what the second stage would learn does not count
        model.head.class_weight = model.head.box_weight = 0.0
    data = batches(train, size, 8, ["flip"], seed=0, proposals=proposals)
    model.compile(keras.optimizers.AdamW(1e-3), jit_compile=False)
    losses = model.fit(data, epochs=args.epochs, verbose=0).history
    print(f"step {step}: loss {losses['loss'][0]:.3f} to {losses['loss'][-1]:.3f}", flush=True)


rpn = first_stage()
learn(1, rpn)
detector = build("fast-rcnn")
learn(2, detector, proposals_of(rpn))
shared = first_stage()  # proposals again, on the detector's convolutions, which stay as they are from here on
shared.network.set_weights(detector.network.get_weights())
shared.network.trainable = detector.network.trainable = False
learn(3, shared)
learn(4, detector, proposals_of(shared))

# One network, the proposals of step 3, and the branch of step 4.
for own, theirs in zip(shared.head.branches, detector.head.branches, strict=True):
    own.set_weights(theirs.get_weights())
shared.network.trainable = True
shared.save(args.out)
print(f"{args.out}: test {kzoo.evaluate(kzoo.load(args.out), args.data, split='test')}")
