"""Heads: what raw outputs mean, how they are trained, how they are read. Importing them makes them loadable."""

from kzoo.heads.anchor import AnchorHead
from kzoo.heads.anchor_detr import AnchorDETRHead
from kzoo.heads.base import Head
from kzoo.heads.center import CenterHead
from kzoo.heads.classify import ClassifyHead
from kzoo.heads.conditional_detr import ConditionalDETRHead
from kzoo.heads.corner import CornerHead
from kzoo.heads.d_fine import DFineHead
from kzoo.heads.dab_deformable_detr import DABDeformableDETRHead
from kzoo.heads.dab_detr import DABDETRHead
from kzoo.heads.deformable_detr import DeformableDETRHead
from kzoo.heads.detection import DetectionHead
from kzoo.heads.detr import DETRHead
from kzoo.heads.dino import DINOHead
from kzoo.heads.dn_detr import DNDETRHead
from kzoo.heads.drive import DriveHead
from kzoo.heads.extreme import ExtremeHead
from kzoo.heads.fast_rcnn import FastRCNNHead
from kzoo.heads.fcos import FCOSHead
from kzoo.heads.features import FeatureHead
from kzoo.heads.grid import GridHead
from kzoo.heads.iou_net import IoUNetHead
from kzoo.heads.mask_rcnn import MaskRCNNHead
from kzoo.heads.pixel import PixelHead
from kzoo.heads.points import PointHead
from kzoo.heads.rcnn import RCNNHead
from kzoo.heads.rt_detr import RTDETRHead
from kzoo.heads.saccade import SaccadeHead
from kzoo.heads.smca_detr import SMCADETRHead
from kzoo.heads.svm import SVMHead
from kzoo.heads.triplet import TripletHead
from kzoo.heads.yolo import YoloHead

__all__ = [
    "AnchorDETRHead",
    "AnchorHead",
    "CenterHead",
    "ClassifyHead",
    "ConditionalDETRHead",
    "CornerHead",
    "DABDETRHead",
    "DABDeformableDETRHead",
    "DETRHead",
    "DFineHead",
    "DINOHead",
    "DNDETRHead",
    "DeformableDETRHead",
    "DetectionHead",
    "DriveHead",
    "ExtremeHead",
    "FCOSHead",
    "FastRCNNHead",
    "FeatureHead",
    "GridHead",
    "Head",
    "IoUNetHead",
    "MaskRCNNHead",
    "PixelHead",
    "PointHead",
    "RCNNHead",
    "RTDETRHead",
    "SMCADETRHead",
    "SVMHead",
    "SaccadeHead",
    "TripletHead",
    "YoloHead",
]
