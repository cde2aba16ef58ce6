"""SimOTA: an object goes to as many points as its overlaps suggest, those where it costs least."""

from __future__ import annotations

from keras import ops

from kzoo.ops.assign.common import PointAssignment
from kzoo.ops.assign.task_aligned import of_owner, resolved_by_cost, scores_of
from kzoo.ops.boxes import pairwise_iou
from kzoo.ops.gather import stable_top_k
