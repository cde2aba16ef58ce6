"""`kzoo anchors`: anchor shapes that fit a dataset."""

from __future__ import annotations

import typer

from kzoo.cli.options import json_switch, parameter
from kzoo.options.commands import ANCHORS


def anchors(
    data: parameter(ANCHORS["data"].but(help="The path of a Pascal VOC, YOLO or COCO dataset, or shapes.")),
    k: parameter(ANCHORS["k"], "-k", "--count") = 9,
    image_size: parameter(ANCHORS["image_size"]) = (416, 416),
    split: parameter(ANCHORS["split"]) = None,
    seed: parameter(ANCHORS["seed"]) = 0,
    json: json_switch("anchors and mean IoU") = False,
):
    """Cluster a dataset's boxes into anchors (k-means with the distance 1 - IoU) and say how well they fit."""
    from kzoo.data import load
    from kzoo.data.anchors import kmeans_anchors

    shapes, iou = kmeans_anchors(load(data, split), k, image_size, seed)
    rounded = [[round(float(side), 1) for side in shape] for shape in shapes]
    if json:
        import json as json_module

        result = {"anchors": rounded, "mean_iou": round(iou, 4), "image_size": list(image_size)}
        typer.echo(json_module.dumps(result))
        return
    typer.echo("  ".join(f"{width:g},{height:g}" for width, height in rounded))
    typer.echo(f"mean IoU {iou:.4f} at {image_size[1]} x {image_size[0]} pixels")
