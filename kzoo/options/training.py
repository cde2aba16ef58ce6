"""Options of a training, under the headings that `kzoo train --help` has them under.

Their defaults are those of `kzoo.training.config.TrainConfig`, whose fields have the same names.
"""

from __future__ import annotations

from kzoo.options import forms
from kzoo.options.building import DEPTH, WEIGHTS, WIDTH
from kzoo.options.checking import ANY
from kzoo.options.commands import BITS, SEED, SIDE, SPLIT
from kzoo.options.kinds import Flag, Option
from kzoo.options.quantities import Number, Sizes, Whole
from kzoo.options.words import Component, Place, Text, Word

OPTIMIZERS = ("adamw", "sgd")
WORKER_KINDS = ("auto", "thread", "process")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
BOX_LOSSES = ("iou", "giou", "diou", "ciou", "paper", "l1", "smooth_l1")

_WITH_SGD, _WITH_ADAMW = {"optimizer": ("sgd",)}, {"optimizer": ("adamw",)}

# With the model, `--data`, `--val` and `--resume`, which are no fields of a configuration, these are what most people
# look for. The others go by what they are about.
FIRST: dict[str, Option] = {
    "epochs": Whole(help="Number of passes over the training images.", least=1, most=1_000_000),
    "batch_size": forms.BATCH.but(
        help="Number of images in a batch, which all devices share; auto measures how many fit into memory."
    ),
    "image_size": SIDE,
    "learning_rate": Number(
        help="The highest learning rate of the schedule.",
        otherwise="0.005 with adamw, 0.01 with sgd; 0.001 when training starts from weights",
        above=0,
        none=True,
    ),
    "augment": forms.AUGMENT.but(help="How training images are changed at random.", none=True),
    "weights": WEIGHTS,
    "name": Component(
        help="Name of the run's folder in --runs; a number is added where there is one of that name.",
        needs={"run": (None,)},
    ),
}
DATA: dict[str, Option] = {
    "split": SPLIT.but(help="The part of --data to train on.", otherwise="train, or the only part there is"),
    "val_split": SPLIT.but(help="The part of --val, or else of --data, to validate on.", otherwise="val"),
    "balance": Number(
        help="Share of the images; those of classes on fewer of them are repeated, such as below 0.2.",
        otherwise="each image once an epoch",
        above=0,
        most=1,
        none=True,
    ),
    "rectangular": Flag(
        help="Validate on batches of images of the same shape, with as little padding as the stride allows.",
        task="detect",
    ),
    "skip_faulty": Flag(help="Leave faulty images and boxes out instead of refusing the dataset."),
    "bits": BITS,
}
MODEL: dict[str, Option] = {
    "width": WIDTH.but(otherwise="1", none=True),
    "depth": DEPTH.but(otherwise="1", none=True),
    "backbone": Text(
        help="Name of the backbone, such as resnet18, efficientnet-lite0 or mobilenetv3-small.",
        otherwise="the model's own",
        none=True,
    ),
    "anchors": forms.ANCHORS.but(
        help="The anchors' widths and heights; auto fits them to the training boxes, default is the model's own.",
        task="detect",
    ),
    "box_loss": Word(
        help="Loss of the boxes' places; paper is for YOLO, l1 and smooth_l1 for RetinaNet and SSD.",
        otherwise="the model's own",
        choices=BOX_LOSSES,
        none=True,
        task="detect",
    ),
    "loss": forms.LOSS.but(
        help="Loss of the pixels' classes.", otherwise="the model's own", none=True, task="segment"
    ),
    "head": forms.HEAD.but(
        help="A further argument of the model or its head, as `kzoo info` lists them, such as batch_norm=true; may be "
        "given several times."
    ),
    "backbone_weights": Place(
        help="The file of a trained model with the same backbone, of kzoo, Darknet, torchvision or timm; also "
        "hf://USER/NAME, or imagenet.",
        otherwise="random weights",
        what="a file of weights, or imagenet",
        none=True,
        needs={"weights": (None,)},
    ),
    "pretrained": Flag(
        help="Start from the backbone that was trained on ImageNet; short for --backbone-weights imagenet.",
        needs={"weights": (None,), "backbone_weights": (None,)},
    ),
    "pretrain": Word(
        help="What the backbone learns before the first epoch; it tells what crops of the training boxes show, or how "
        "much of each class is on tiles of the pictures with masks.",
        otherwise="nothing",
        choices=("classify",),
        none=True,
        needs={"weights": (None,)},
    ),
    "pretrain_epochs": Whole(
        help="Number of passes over the crops or tiles of --pretrain.",
        unit="epochs",
        least=1,
        most=1_000_000,
        needs={"pretrain": (ANY,)},
    ),
    "freeze_backbone": forms.EPOCHS.but(
        help="Number of epochs at the beginning in which neck and head alone are trained; all is the whole training."
    ),
    "backbone_rate": Number(
        help="Factor of the learning rate for the backbone; its pretrained weights want smaller steps than a new head.",
        above=0,
        most=10,
    ),
    "stop_at": Whole(
        help="Number of layers of a Darknet .cfg that take their weights from --weights.",
        otherwise="all",
        unit="layers",
        least=0,
        most=1_000_000,
        none=True,
        needs={"weights": (ANY,)},
    ),
}
OPTIMIZER: dict[str, Option] = {
    "optimizer": Word(help="The optimiser that turns gradients into steps.", choices=OPTIMIZERS),
    "weight_decay": Number(
        help="Weight decay of kernels; biases and batch normalisation have none.", least=0, most=10
    ),
    "momentum": Number(help="Momentum of SGD.", least=0, below=1, needs=_WITH_SGD),
    "nesterov": Flag(help="Use Nesterov's momentum with SGD.", needs=_WITH_SGD, neutral=(None,)),
    "beta_1": Number(
        help="Decay of AdamW's running mean of the gradients.", least=0, below=1, needs=_WITH_ADAMW
    ),
    "beta_2": Number(
        help="Decay of AdamW's running mean of the squared gradients.", least=0, below=1, needs=_WITH_ADAMW
    ),
    "epsilon": Number(
        help="Number added to AdamW's divisor, for numerical stability.", above=0, most=1, needs=_WITH_ADAMW
    ),
    "ema": Flag(help="Keep an exponential moving average of the weights, validate it and save it."),
    "ema_momentum": Number(
        help="Share of the old average that each batch keeps.",
        otherwise="by the number of batches, from 0.9 to 0.9998",
        least=0,
        below=1,
        none=True,
        needs={"ema": (True,)},
    ),
    "clip_norm": Number(help="Largest norm of all gradients together; 0 is no limit.", least=0),
    "accumulate": Whole(
        help="Number of batches whose gradients are added up to one step.",
        unit="batches",
        least=1,
        most=1_000_000,
    ),
}
SCHEDULE: dict[str, Option] = {
    "schedule": forms.SCHEDULE.but(
        help="Course of the learning rate after the burn-in; step divides it by 10 at 80 % and at 90 % of the steps."
    ),
    "burn_in": Whole(
        help="Number of steps at the beginning in which the learning rate rises.",
        otherwise="3 epochs, but 1000 steps or half the training at most",
        unit="steps",
        least=0,
        most=10**9,
        none=True,
    ),
    "patience": Whole(
        help="Number of epochs without improvement after which training stops; 0 is never.",
        unit="epochs",
        least=0,
        most=1_000_000,
    ),
}
AUGMENTATION: dict[str, Option] = {
    "multi_scale": Flag(
        help="Change the input size every ten steps, between 2/3 and 4/3 of it.", needs={"sizes": (None,)}
    ),
    "sizes": Sizes(
        help="Input sizes to change between every ten steps, joined by commas, such as 320,352,384.",
        otherwise="the one of --image-size",
        none=True,
    ),
    "sat": Number(
        help="Share of the batches for self-adversarial training; the network first alters them against itself.",
        least=0,
        most=1,
    ),
    "close_mosaic": Whole(
        help="Number of epochs at the end without mosaics and other pictures made of several.",
        otherwise="a tenth of all",
        unit="epochs",
        least=0,
        most=1_000_000,
        none=True,
    ),
}
RUN: dict[str, Option] = {
    "seed": SEED.but(help="Seed of the first weights, the order of the images and the augmentation."),
    "runs": Place(
        help="The folder that has the folders of runs.",
        otherwise="runs/detect or runs/segment",
        what="a folder",
        none=True,
        needs={"run": (None,)},
    ),
    "run": Place(
        help="The run's folder itself, in the place of --runs and --name.", what="a folder", none=True
    ),
    "exist_ok": Flag(help="Replace the run that is in the folder of --run.", needs={"run": (ANY,)}),
}
SPEED: dict[str, Option] = {
    "devices": forms.DEVICES.but(
        help="Number of GPUs that share each batch; a machine without one has one device, or JAX's and TensorFlow's "
        "virtual CPUs."
    ),
    "precision": Word(
        help="Precision of the layers' arithmetic; auto is mixed_float16 on a GPU, mixed_bfloat16 on a CPU that is "
        "made for it, or else float32.",
        choices=PRECISIONS,
    ),
    "checkpoint_gradients": Flag(
        help="Keep few of the network's maps for the gradients and compute the others again; less memory, longer steps."
    ),
    "cache": Word(
        help="Where decoded training images are kept for later epochs; disk is Keras's folder, disk:FOLDER another.",
        otherwise="nowhere",
        choices=("memory", "disk"),
        prefixes=("disk:",),
        none=True,
    ),
    "workers": Whole(
        help="Number of threads or processes that prepare batches; 0 is the training itself.",
        otherwise="one a core, 4 at most",
        least=0,
        most=256,
        none=True,
    ),
    "worker_kind": Word(
        help="What prepares batches; processes are about twice as fast as threads, but take half a second to start "
        "and up to 400 MB each, so auto takes them for long trainings alone.",
        choices=WORKER_KINDS,
    ),
}

# Headings of the command line's help, in their order, and what is under them.
PANELS: dict[str, dict[str, Option]] = {
    "Used first": FIRST,
    "Data": DATA,
    "Model": MODEL,
    "Optimiser": OPTIMIZER,
    "Schedule": SCHEDULE,
    "Augmentation": AUGMENTATION,
    "Run": RUN,
    "Speed": SPEED,
}
TRAIN: dict[str, Option] = {
    name: option.but(panel=panel) for panel, options in PANELS.items() for name, option in options.items()
}
