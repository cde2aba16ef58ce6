"""Cell nuclei under the microscope: a small U-Net, or another segmenter, from scratch on 100 images.

    python recipes/segment_nuclei.py --data ../shared/data/nuclei

Test split, 20 images at their own resolution, seed 0: Dice of the nuclei, mean over images, .898, and .902 averaged
over mirror images, in 746 s on two cores.
"""

import argparse
from pathlib import Path

import keras

import kzoo
from kzoo.data.dataset import Selection
from kzoo.data.loading.loader import batches
from kzoo.training import Evaluation

MODELS = {
    "unet": ("unet", {"width": 0.25, "batch_norm": True}),
    "unet-pretrained": (
        "unet",
        {"backbone": "efficientnet-lite0", "backbone_weights": "imagenet", "batch_norm": True},
    ),
    "unet-upsampling": ("unet", {"width": 0.25, "batch_norm": True, "up": "upsampling"}),
    "fcn8": ("fcn8", {"width": 0.25, "batch_norm": True}),
    "dilated8": ("dilated8", {"width": 0.125, "batch_norm": True}),
    "deeplabv3": ("deeplabv3", {"width": 0.5, "backbone": "resnet18"}),
}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="../shared/data/nuclei", help="masks in any layout that kzoo reads")
parser.add_argument("--model", default="unet", choices=list(MODELS))
parser.add_argument("--out", default="runs/nuclei.keras", help="the trained model")
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--image-size", type=int, default=256)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
size = (args.image_size, args.image_size)

# Data: nuclei have no way up. One image in ten is of stained tissue on a bright ground: it is shown four times.
train, val = (kzoo.data.load(args.data, split, task="segment") for split in ("train", "val"))
bright = [index for index in range(len(train)) if train.image(index).mean() > 60]
train = Selection(train, [*range(len(train)), *bright * 3])
augment = ["flip", "flip_vertical", "rotate90", "affine", "color"]
train_batches = batches(train, size, args.batch_size, augment, seed=args.seed, workers=1, repeat=True)
steps = len(train_batches)

# Model: batch normalisation trains it in minutes; Dice is what is measured, cross-entropy keeps it stable.
keras.utils.set_random_seed(args.seed)
name, options = MODELS[args.model]
model = kzoo.build(
    name, num_classes=len(train.classes), image_size=size, names=train.classes, loss="ce+dice", **options
)

# Training: AdamW, warmed up for three epochs, then down a cosine; Keras ends on the average of the weights.
schedule = keras.optimizers.schedules.CosineDecay(
    0.0, (args.epochs - 3) * steps, warmup_target=3e-3, warmup_steps=3 * steps
)
rates = (
    {"backbone_": 0.2} if "backbone_weights" in options else None
)  # what is trained already takes smaller steps
optimizer = kzoo.training.AdamW(
    schedule, rates, weight_decay=5e-4, global_clipnorm=10.0, use_ema=True, ema_momentum=0.95
)
model.compile(optimizer, jit_compile=False)
model.fit(
    train_batches,
    steps_per_epoch=steps,
    epochs=args.epochs,
    callbacks=[Evaluation(val, every=10)],
    verbose=2,
)

# What is kept, and what it is worth on images it has not seen: in tiles, at the images' own resolution.
Path(args.out).parent.mkdir(parents=True, exist_ok=True)
model.save(args.out)
for how in ({}, {"flips": ("horizontal", "vertical")}):
    metrics = kzoo.evaluate(model, args.data, split="test", method="window", **how)
    print(f"{args.out}: test {metrics}" + (", averaged over mirror images" if how else ""))
