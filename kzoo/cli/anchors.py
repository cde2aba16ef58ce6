"""`kzoo anchors`: anchor shapes that fit a dataset."""

from __future__ import annotations

from typing import Annotated

import typer


def anchors(
    data: Annotated[str, typer.Option(help="A Pascal VOC, YOLO or COCO dataset, or shapes.")],
    k: Annotated[int, typer.Option("-k", "--count", help="How many anchors.")] = 9,
    image_size: Annotated[int, typer.Option(help="Side of the network's input in pixels.")] = 416,
    split: Annotated[str | None, typer.Option(help="The part of the dataset; all where left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of the clustering's starting points.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
):
    """Cluster a dataset's boxes into anchors (k-means with distance 1 - IoU) and say how well they fit."""
    from kzoo.data import load
    from kzoo.data.anchors import kmeans_anchors

    shapes, iou = kmeans_anchors(load(data, split), k, (image_size, image_size), seed)
    rounded = [[round(float(side), 1) for side in shape] for shape in shapes]
    if json:
        import json as json_module

        result = {"anchors": rounded, "mean_iou": round(iou, 4), "image_size": [image_size, image_size]}
        typer.echo(json_module.dumps(result))
        return
    typer.echo("  ".join(f"{width:g},{height:g}" for width, height in rounded))
    typer.echo(f"mean IoU {iou:.4f} at {image_size} x {image_size} pixels")
