"""What travels through kzoo outside the network: `Sample` going in, `Detections` and other results coming out."""

from __future__ import annotations

from kzoo.structures.classification import Classification
from kzoo.structures.detections import Detections
from kzoo.structures.labels import IGNORED
from kzoo.structures.roads import RoadScene
from kzoo.structures.sample import Sample
from kzoo.structures.segmentation import Segmentation

__all__ = ["IGNORED", "Classification", "Detections", "RoadScene", "Sample", "Segmentation"]
