"""Which prediction is to find which object: by overlap with anchors, or by what predictions of points are worth."""

from kzoo.ops.assign.anchors import RESCUES, Assignment, assign_anchors
from kzoo.ops.assign.atss import atss
from kzoo.ops.assign.common import PointAssignment, last_owner, sound_boxes
from kzoo.ops.assign.named import POINT_ASSIGNERS, assign_points
from kzoo.ops.assign.ratio import ALL_CELLS, CELLS, last_of_rank, ratio_match
from kzoo.ops.assign.sim_ota import sim_ota, sim_ota_among
from kzoo.ops.assign.task_aligned import task_aligned

__all__ = [
    "ALL_CELLS",
    "CELLS",
    "POINT_ASSIGNERS",
    "RESCUES",
    "Assignment",
    "PointAssignment",
    "assign_anchors",
    "assign_points",
    "atss",
    "last_of_rank",
    "last_owner",
    "ratio_match",
    "sim_ota",
    "sim_ota_among",
    "sound_boxes",
    "task_aligned",
]
