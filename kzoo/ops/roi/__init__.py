"""Boxes cut out of feature maps at one size: RoIAlign, RoI max pooling, precise RoI pooling."""

from kzoo.ops.roi.align import roi_align
from kzoo.ops.roi.maps import pyramid_levels
from kzoo.ops.roi.maximum import roi_pool
from kzoo.ops.roi.precise import precise_roi_pool
from kzoo.ops.roi.pyramid import pyramid_pool
from kzoo.ops.roi.warping import warp_crops
from kzoo.ops.roi.windows import longer_side_levels, precise_roi_slopes, precise_roi_windows

__all__ = [
    "longer_side_levels",
    "precise_roi_pool",
    "precise_roi_slopes",
    "precise_roi_windows",
    "pyramid_levels",
    "pyramid_pool",
    "roi_align",
    "roi_pool",
    "warp_crops",
]
