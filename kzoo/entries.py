"""Every model of the zoo: its name, where it is built, and what was published of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """What is known of a model without building it.

    Attributes:
        name: the paper's own name.
        target: the function that builds it, as "module:function".
        task: "detect", "segment", "instance", "drive" or "classify".
        image_size: height and width in pixels it was published at.
        paper: where it was published.
        parameters: the published count, batch-norm statistics included, at `num_classes`.
        num_classes: the classes of that count.
        gflops: 10**9 operations for one image of that size and those classes, two a multiply-add, as Darknet counts;
            None where nobody has counted them.
    """

    name: str
    target: str
    task: str
    image_size: tuple[int, int]
    paper: str
    parameters: int
    num_classes: int
    gflops: float | None = None


_YOLOV1 = "Redmon et al. 2015, You Only Look Once: Unified, Real-Time Object Detection, arXiv:1506.02640"
_YOLOV2 = "Redmon & Farhadi 2016, YOLO9000: Better, Faster, Stronger, arXiv:1612.08242"
_YOLOV4 = "Bochkovskiy et al. 2020, YOLOv4: Optimal Speed and Accuracy of Object Detection, arXiv:2004.10934"
_SCALED_YOLOV4 = "Wang et al. 2020, Scaled-YOLOv4: Scaling Cross Stage Partial Network, arXiv:2011.08036"
_CSP = (
    "Wang et al. 2019, CSPNet: A New Backbone That Can Enhance Learning Capability of CNN, arXiv:1911.11929"
)
_YOLOV3 = "Redmon & Farhadi 2018, YOLOv3: An Incremental Improvement, arXiv:1804.02767"
# Published counts of these have constants more, 16, 17 or 34 distances from 0, which are no weights here.
_PP_YOLOE = "Xu et al. 2022, PP-YOLOE: An evolved version of YOLO, arXiv:2203.16250"
_YOLOV6 = "Li et al. 2023, YOLOv6 v3.0: A Full-Scale Reloading, arXiv:2301.05586"
_YOLOV8 = "Jocher et al. 2023, YOLOv8; no paper"
_YOLO11 = "Jocher & Qiu 2024, YOLO11; no paper"
_YOLOX = "Ge et al. 2021, YOLOX: Exceeding YOLO Series in 2021, arXiv:2107.08430"
_YOLOV5 = "Jocher et al. 2020, YOLOv5 by Ultralytics, https://github.com/ultralytics/yolov5"
_YOLOV7 = (
    "Wang et al. 2022, YOLOv7: Trainable Bag-of-Freebies Sets New State-of-the-Art for Real-Time Object Detectors, "
    "arXiv:2207.02696"
)
_FASTER_RCNN = (
    "Ren et al. 2015, Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks, "
    "arXiv:1506.01497"
)
_ANCHOR_DETR = (
    "Wang et al. 2021, Anchor DETR: Query Design for Transformer-Based Object Detection, arXiv:2109.07107"
)
_SMCA_DETR = (
    "Gao et al. 2021, Fast Convergence of DETR with Spatially Modulated Co-Attention, arXiv:2101.07448"
)
_CONDITIONAL_DETR = "Meng et al. 2021, Conditional DETR for Fast Training Convergence, arXiv:2108.06152"
_DAB_DETR = "Liu et al. 2022, DAB-DETR: Dynamic Anchor Boxes are Better Queries for DETR, arXiv:2201.12329"
_DN_DETR = (
    "Li et al. 2022, DN-DETR: Accelerate DETR Training by Introducing Query DeNoising, arXiv:2203.01305"
)
_DETR = "Carion et al. 2020, End-to-End Object Detection with Transformers, arXiv:2005.12872"
_DEFORMABLE_DETR = (
    "Zhu et al. 2020, Deformable DETR: Deformable Transformers for End-to-End Object Detection, "
    "arXiv:2010.04159"
)
_DINO = (
    "Zhang et al. 2022, DINO: DETR with Improved DeNoising Anchor Boxes for End-to-End Object Detection, "
    "arXiv:2203.03605"
)
_D_FINE = (
    "Peng et al. 2024, D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement, "
    "arXiv:2410.13842"
)
_EFFICIENT_DETR = (
    "Yao et al. 2021, Efficient DETR: Improving End-to-End Object Detector with Dense Prior, arXiv:2104.01318"
)
_RT_DETR = "Zhao et al. 2023, RT-DETR: DETRs Beat YOLOs on Real-time Object Detection, arXiv:2304.08069"
_RT_DETR_V2 = "Lv et al. 2024, RT-DETRv2: Improved Baseline with Bag-of-Freebies, arXiv:2407.17140"
_MASK_RCNN = "He et al. 2017, Mask R-CNN, arXiv:1703.06870"
_UNET = "Ronneberger et al. 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597"
_CONTEXT = "Yu & Koltun 2016, Multi-Scale Context Aggregation by Dilated Convolutions, arXiv:1511.07122"
_DEEPLABV3 = (
    "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587"
)
_DEEPLABV3PLUS = (
    "Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, "
    "arXiv:1802.02611"
)
# Of DLA-34 42,496 fewer than published: two projections whose results the authors throw away.
_CENTERNET = "Zhou et al. 2019, Objects as Points, arXiv:1904.07850"
_CENTERNET_TRIPLET = "Duan et al. 2019, CenterNet: Keypoint Triplets for Object Detection, arXiv:1904.08189"
_CONVNEXT = "Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545"
_CORNERNET = "Law & Deng 2018, CornerNet: Detecting Objects as Paired Keypoints, arXiv:1808.01244"
_CORNERNET_LITE = (
    "Law et al. 2019, CornerNet-Lite: Efficient Keypoint Based Object Detection, arXiv:1904.08900"
)
_EFFICIENTNET = (
    "Tan & Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, "
    "arXiv:1905.11946"
)
_LITE = "Liu 2020, Higher accuracy on vision models with EfficientNet-Lite, TensorFlow's blog; after arXiv:1905.11946"
_MOBILENETV2 = "Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381"
_MOBILENETV3 = "Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244"
_EXTREMENET = (
    "Zhou et al. 2019, Bottom-up Object Detection by Grouping Extreme and Center Points, arXiv:1901.08043"
)
_FCN = "Long et al. 2015, Fully Convolutional Networks for Semantic Segmentation, arXiv:1411.4038"
_FCOS = "Tian et al. 2019, FCOS: Fully Convolutional One-Stage Object Detection, arXiv:1904.01355"
_RESNET = "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
_RETINANET = "Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv:1708.02002"
_SSD = "Liu et al. 2016, SSD: Single Shot MultiBox Detector, arXiv:1512.02325"
_VGG = "Simonyan & Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"

# fmt: off
ENTRIES = (
    Entry("centernet-dla34", "kzoo.models.centernet:centernet_dla34", "detect", (512, 512),
          _CENTERNET, 19_652_980, 80, 66.32),
    Entry("centernet-hourglass104", "kzoo.models.centernet_hourglass:centernet_hourglass104", "detect", (512, 512),
          _CENTERNET, 191_401_512, 80, 526.74),
    Entry("centernet-resnet18", "kzoo.models.centernet:centernet", "detect", (512, 512),
          _CENTERNET, 14_448_741, 80, 26.62),
    Entry("centernet-resnet50", "kzoo.models.centernet:centernet_resnet50", "detect", (512, 512),
          _CENTERNET, 30_735_973, 80, 52.38),
    Entry("centernet-triplet", "kzoo.models.centernet_triplet:centernet_triplet", "detect", (512, 512),
          _CENTERNET_TRIPLET, 210_194_800, 80, 834.13),
    Entry("convnext-tiny", "kzoo.models.convnext:convnext_tiny", "classify", (224, 224),
          _CONVNEXT, 28_589_128, 1000, 8.91),
    Entry("cornernet", "kzoo.models.cornernet:cornernet", "detect", (512, 512),
          _CORNERNET, 201_160_908, 80, 686.34),
    Entry("cornernet-saccade", "kzoo.models.cornernet_saccade:cornernet_saccade", "detect", (256, 256),
          _CORNERNET_LITE, 117_046_651, 80, 192.12),
    Entry("cornernet-squeeze", "kzoo.models.cornernet_squeeze:cornernet_squeeze", "detect", (512, 512),
          _CORNERNET_LITE, 31_849_420, 80, 102.46),
    Entry("cspdarknet53", "kzoo.models.darknet:cspdarknet53", "classify", (256, 256),
          _YOLOV4, 27_677_512, 1000, 13.07),
    Entry("cspresnext50", "kzoo.models.darknet:cspresnext50", "classify", (256, 256),
          _CSP, 20_614_824, 1000, 7.93),
    # Darknet's own 5.58 * 10**9 are those of a classifier at all 49 places, whose mean is taken.
    Entry("darknet19", "kzoo.models.darknet:darknet19", "classify", (224, 224),
          _YOLOV2, 20_856_776, 1000, 5.48),
    Entry("darknet53", "kzoo.models.darknet:darknet53", "classify", (256, 256),
          _YOLOV3, 41_645_640, 1000, 18.57),
    Entry("deeplabv3", "kzoo.models.deeplab:deeplabv3", "segment", (520, 520),
          _DEEPLABV3, 39_695_573, 21, 337.46),
    Entry("deeplabv3-resnet101", "kzoo.models.deeplab:deeplabv3_resnet101", "segment", (520, 520),
          _DEEPLABV3, 58_739_925, 21, 497.5),
    Entry("deeplabv3plus", "kzoo.models.deeplab:deeplabv3plus", "segment", (512, 512),
          _DEEPLABV3PLUS, 40_409_493, 21, 138.45),
    Entry("deeplabv3plus-resnet101", "kzoo.models.deeplab:deeplabv3plus_resnet101", "segment", (512, 512),
          _DEEPLABV3PLUS, 59_453_845, 21, 177.24),
    Entry("dilated8", "kzoo.models.dilated:dilated8", "segment", (512, 512),
          _CONTEXT, 141_149_720, 21, 1239.51),
    Entry("efficientnet-b0", "kzoo.models.efficientnet:efficientnet", "classify", (224, 224),
          _EFFICIENTNET, 5_330_564, 1000, 0.77),
    Entry("efficientnet-b1", "kzoo.models.efficientnet:efficientnet_b1", "classify", (240, 240),
          _EFFICIENTNET, 7_856_232, 1000, 1.37),
    Entry("efficientnet-b2", "kzoo.models.efficientnet:efficientnet_b2", "classify", (260, 260),
          _EFFICIENTNET, 9_177_562, 1000, 1.99),
    Entry("efficientnet-b3", "kzoo.models.efficientnet:efficientnet_b3", "classify", (300, 300),
          _EFFICIENTNET, 12_320_528, 1000, 3.65),
    Entry("efficientnet-b4", "kzoo.models.efficientnet:efficientnet_b4", "classify", (380, 380),
          _EFFICIENTNET, 19_466_816, 1000, 8.79),
    Entry("efficientnet-b5", "kzoo.models.efficientnet:efficientnet_b5", "classify", (456, 456),
          _EFFICIENTNET, 30_562_520, 1000, 20.53),
    Entry("efficientnet-b6", "kzoo.models.efficientnet:efficientnet_b6", "classify", (528, 528),
          _EFFICIENTNET, 43_265_136, 1000, 38.14),
    Entry("efficientnet-b7", "kzoo.models.efficientnet:efficientnet_b7", "classify", (600, 600),
          _EFFICIENTNET, 66_658_680, 1000, 75.49),
    Entry("efficientnet-lite0", "kzoo.models.efficientnet:efficientnet_lite0", "classify", (224, 224),
          _LITE, 4_694_024, 1000, 0.77),
    Entry("efficientnet-lite1", "kzoo.models.efficientnet:efficientnet_lite1", "classify", (240, 240),
          _LITE, 5_470_344, 1000, 1.2),
    Entry("efficientnet-lite2", "kzoo.models.efficientnet:efficientnet_lite2", "classify", (260, 260),
          _LITE, 6_150_168, 1000, 1.72),
    Entry("efficientnet-lite3", "kzoo.models.efficientnet:efficientnet_lite3", "classify", (280, 280),
          _LITE, 8_273_768, 1000, 2.77),
    Entry("efficientnet-lite4", "kzoo.models.efficientnet:efficientnet_lite4", "classify", (300, 300),
          _LITE, 13_118_936, 1000, 5.11),
    Entry("extremenet", "kzoo.models.extremenet:extremenet", "detect", (512, 512),
          _EXTREMENET, 198_649_008, 80, 645.42),
    Entry("anchor-detr-r50", "kzoo.models.anchor_detr:anchor_detr", "detect", (800, 800),
          _ANCHOR_DETR, 37_144_951, 91, 131.27),
    Entry("conditional-detr-r50", "kzoo.models.conditional_detr:conditional_detr", "detect", (800, 800),
          _CONDITIONAL_DETR, 43_524_641, 91, 127.37),
    Entry("dab-detr-r50", "kzoo.models.dab_detr:dab_detr", "detect", (800, 800), _DAB_DETR, 43_777_757, 91, 129.69),
    Entry("dab-deformable-detr-r50", "kzoo.models.dab_deformable_detr:dab_deformable_detr", "detect", (800, 800),
          _DAB_DETR, 47_512_234, 91, 332.97),
    Entry("detr-r50", "kzoo.models.detr:detr", "detect", (800, 800), _DETR, 41_631_008, 91, 120.34),
    Entry("detr-r50-dc5", "kzoo.models.detr:detr_r50_dc5", "detect", (800, 800), _DETR, 41_631_008, 91, 245.96),
    Entry("detr-r101", "kzoo.models.detr:detr_r101", "detect", (800, 800), _DETR, 60_675_360, 91, 215.04),
    Entry("detr-r101-dc5", "kzoo.models.detr:detr_r101_dc5", "detect", (800, 800), _DETR, 60_675_360, 91, 340.66),
    Entry("dn-detr-r50", "kzoo.models.dn_detr:dn_detr", "detect", (800, 800), _DN_DETR, 43_801_217, 91, 129.69),
    Entry("d-fine-n", "kzoo.models.d_fine:d_fine_n", "detect", (640, 640), _D_FINE, 3_798_955, 80, 7.3),
    Entry("d-fine-s", "kzoo.models.d_fine:d_fine_s", "detect", (640, 640), _D_FINE, 9_562_051, 80, 24.95),
    Entry("d-fine-m", "kzoo.models.d_fine:d_fine_m", "detect", (640, 640), _D_FINE, 18_591_222, 80, 56.34),
    Entry("d-fine-l", "kzoo.models.d_fine:d_fine", "detect", (640, 640), _D_FINE, 29_788_896, 80, 90.6),
    Entry("d-fine-x", "kzoo.models.d_fine:d_fine_x", "detect", (640, 640), _D_FINE, 61_278_944, 80, 202.07),
    Entry("deformable-detr-r50", "kzoo.models.deformable_detr:deformable_detr", "detect", (800, 800),
          _DEFORMABLE_DETR, 40_175_905, 91, 245.87),
    Entry("deformable-detr-r50-refined", "kzoo.models.deformable_detr:deformable_detr_refined", "detect", (800, 800),
          _DEFORMABLE_DETR, 40_955_900, 91, 246.26),
    Entry("deformable-detr-r50-two-stage", "kzoo.models.deformable_detr:deformable_detr_two_stage", "detect",
          (800, 800), _DEFORMABLE_DETR, 41_287_769, 91, 252.29),
    Entry("efficient-detr-r50", "kzoo.models.efficient_detr:efficient_detr", "detect", (800, 800),
          _EFFICIENT_DETR, 32_912_415, 91, 175.29),
    Entry("dino-r50", "kzoo.models.dino:dino", "detect", (800, 800), _DINO, 46_999_422, 91, 352.56),
    Entry("dino-r50-5scale", "kzoo.models.dino:dino_5_scale", "detect", (800, 800), _DINO, 47_362_046, 91, 1028.4),
    Entry("smca-detr-r50", "kzoo.models.smca_detr:smca_detr", "detect", (800, 800), _SMCA_DETR, 41_842_050, 92, 125.14),
    Entry("fcos", "kzoo.models.fcos:fcos", "detect", (800, 800), _FCOS, 32_375_840, 91, 256.41),
    Entry("fcn8", "kzoo.models.fcn:fcn8", "segment", (512, 512), _FCN, 134_489_759, 21, 222.61),
    Entry("fcn16", "kzoo.models.fcn:fcn16", "segment", (512, 512), _FCN, 134_815_994, 21, 222.55),
    Entry("fcn32", "kzoo.models.fcn:fcn32", "segment", (512, 512), _FCN, 136_152_917, 21, 222.53),
    Entry("fcn-resnet50", "kzoo.models.fcn:fcn_resnet50", "segment", (520, 520),
          _FCN, 33_011_157, 21, 285.45),
    Entry("fcn-resnet101", "kzoo.models.fcn:fcn_resnet101", "segment", (520, 520),
          _FCN, 52_055_509, 21, 445.49),
    Entry("mobilenetv2", "kzoo.models.mobilenet:mobilenetv2", "classify", (224, 224),
          _MOBILENETV2, 3_538_984, 1000, 0.6),
    Entry("mobilenetv3-large", "kzoo.models.mobilenet:mobilenetv3_large", "classify", (224, 224),
          _MOBILENETV3, 5_507_432, 1000, 0.43),
    Entry("mobilenetv3-small", "kzoo.models.mobilenet:mobilenetv3_small", "classify", (224, 224),
          _MOBILENETV3, 2_554_968, 1000, 0.11),
    Entry("resnet18", "kzoo.models.resnet:resnet18", "classify", (224, 224), _RESNET, 11_699_112, 1000, 3.63),
    Entry("resnet34", "kzoo.models.resnet:resnet34", "classify", (224, 224), _RESNET, 21_814_696, 1000, 7.33),
    Entry("resnet50", "kzoo.models.resnet:resnet50", "classify", (224, 224), _RESNET, 25_610_152, 1000, 8.18),
    Entry("resnet101", "kzoo.models.resnet:resnet101", "classify", (224, 224),
          _RESNET, 44_654_504, 1000, 15.6),
    Entry("resnet152", "kzoo.models.resnet:resnet152", "classify", (224, 224),
          _RESNET, 60_344_232, 1000, 23.03),
    Entry("r-cnn", "kzoo.models.r_cnn:r_cnn", "detect", (500, 500),
          "Girshick et al. 2014, Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation, "
          "arXiv:1311.2524", 136_454_057, 20, 61873.45),
    Entry("spp-net", "kzoo.models.spp_net:spp_net", "detect", (608, 800),
          "He et al. 2014, Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition, "
          "arXiv:1406.4729", 138_594_217, 20, 793.02),
    Entry("fast-rcnn", "kzoo.models.fast_rcnn:fast_rcnn", "detect", (608, 800),
          "Girshick 2015, Fast R-CNN, arXiv:1504.08083", 134_690_729, 20, 777.41),
    Entry("faster-rcnn", "kzoo.models.faster_rcnn:faster_rcnn", "detect", (800, 800),
          _FASTER_RCNN, 41_861_526, 90, 268.76),
    Entry("faster-rcnn-v2", "kzoo.models.faster_rcnn:faster_rcnn_v2", "detect", (800, 800),
          _FASTER_RCNN, 43_771_542, 90, 560.74),
    Entry("cascade-rcnn", "kzoo.models.faster_rcnn:cascade_rcnn", "detect", (800, 800),
          "Cai & Vasconcelos 2018, Cascade R-CNN: Delving into High Quality Object Detection, arXiv:1712.00726",
          69_447_886, 80, 323.92),
    Entry("softer-rcnn", "kzoo.models.faster_rcnn:softer_rcnn", "detect", (800, 800),
          "He et al. 2019, Bounding Box Regression with Uncertainty for Accurate Object Detection, arXiv:1809.08545",
          42_142_376, 80, 269.32),
    Entry("faster-rcnn-vgg16", "kzoo.models.faster_rcnn_vgg:faster_rcnn_vgg16", "detect", (608, 800),
          _FASTER_RCNN, 137_073_622, 20, 378.57),
    Entry("faster-rcnn-mobilenet", "kzoo.models.faster_rcnn_mobilenet:faster_rcnn_mobilenet", "detect", (800, 800),
          _FASTER_RCNN, 19_435_154, 90, 37.71),
    Entry("faster-rcnn-mobilenet-320", "kzoo.models.faster_rcnn_mobilenet:faster_rcnn_mobilenet_320", "detect",
          (320, 320), _FASTER_RCNN, 19_435_154, 90, 5.75),
    Entry("iou-net", "kzoo.models.iou_net:iou_net", "detect", (800, 800),
          "Jiang et al. 2018, Acquisition of Localization Confidence for Accurate Object Detection, arXiv:1807.11590",
          55_787_956, 80, 316.51),
    Entry("mask-rcnn", "kzoo.models.mask_rcnn:mask_rcnn", "instance", (800, 800),
          _MASK_RCNN, 44_507_633, 90, 375.17),
    Entry("mask-rcnn-v2", "kzoo.models.mask_rcnn:mask_rcnn_v2", "instance", (800, 800),
          _MASK_RCNN, 46_420_721, 90, 667.15),
    Entry("pp-yoloe-s", "kzoo.models.pp_yoloe:pp_yoloe", "detect", (640, 640),
          _PP_YOLOE, 8_105_500, 80, 17.27),
    Entry("pp-yoloe-m", "kzoo.models.pp_yoloe:pp_yoloe_m", "detect", (640, 640),
          _PP_YOLOE, 24_176_412, 80, 49.77),
    Entry("pp-yoloe-l", "kzoo.models.pp_yoloe:pp_yoloe_l", "detect", (640, 640),
          _PP_YOLOE, 54_147_452, 80, 109.88),
    Entry("pp-yoloe-x", "kzoo.models.pp_yoloe:pp_yoloe_x", "detect", (640, 640),
          _PP_YOLOE, 102_434_524, 80, 206.33),
    Entry("retinanet", "kzoo.models.retinanet:retinanet", "detect", (800, 800),
          _RETINANET, 34_121_239, 91, 303.08),
    Entry("retinanet-resnet18", "kzoo.models.retinanet:retinanet_resnet18", "detect", (800, 800),
          _RETINANET, 21_058_071, 91, 241.64),
    Entry("retinanet-resnet101", "kzoo.models.retinanet:retinanet_resnet101", "detect", (800, 800),
          _RETINANET, 53_165_591, 91, 397.78),
    Entry("retinanet-v2", "kzoo.models.retinanet:retinanet_v2", "detect", (800, 800),
          _RETINANET, 38_252_055, 91, 304.48),
    Entry("rt-detr-r18", "kzoo.models.rt_detr:rt_detr_r18", "detect", (640, 640),
          _RT_DETR, 20_209_680, 80, 58.37),
    Entry("rt-detr-r34", "kzoo.models.rt_detr:rt_detr_r34", "detect", (640, 640),
          _RT_DETR, 31_474_308, 80, 90.48),
    Entry("rt-detr-r50m", "kzoo.models.rt_detr:rt_detr_r50m", "detect", (640, 640),
          _RT_DETR, 36_715_628, 80, 97.48),
    Entry("rt-detr-r50", "kzoo.models.rt_detr:rt_detr", "detect", (640, 640),
          _RT_DETR, 43_019_372, 80, 131.72),
    Entry("rt-detr-r101", "kzoo.models.rt_detr:rt_detr_r101", "detect", (640, 640),
          _RT_DETR, 76_798_700, 80, 249.60),
    Entry("rt-detr-l", "kzoo.models.rt_detr:rt_detr_l", "detect", (640, 640),
          _RT_DETR, 33_037_932, 80, 105.61),
    Entry("rt-detr-x", "kzoo.models.rt_detr:rt_detr_x", "detect", (640, 640),
          _RT_DETR, 67_593_516, 80, 224.99),
    Entry("rt-detr-v2-r18", "kzoo.models.rt_detr:rt_detr_v2_r18", "detect", (640, 640),
          _RT_DETR_V2, 20_209_680, 80, 58.37),
    Entry("rt-detr-v2-r34", "kzoo.models.rt_detr:rt_detr_v2_r34", "detect", (640, 640),
          _RT_DETR_V2, 31_474_308, 80, 90.48),
    Entry("rt-detr-v2-r50m", "kzoo.models.rt_detr:rt_detr_v2_r50m", "detect", (640, 640),
          _RT_DETR_V2, 36_715_628, 80, 97.48),
    Entry("rt-detr-v2-r50", "kzoo.models.rt_detr:rt_detr_v2_r50", "detect", (640, 640),
          _RT_DETR_V2, 43_019_372, 80, 131.72),
    Entry("rt-detr-v2-r101", "kzoo.models.rt_detr:rt_detr_v2_r101", "detect", (640, 640),
          _RT_DETR_V2, 76_798_700, 80, 249.60),
    Entry("rt-detr-v2-l", "kzoo.models.rt_detr:rt_detr_v2_l", "detect", (640, 640),
          _RT_DETR_V2, 33_037_932, 80, 105.61),
    Entry("rt-detr-v2-x", "kzoo.models.rt_detr:rt_detr_v2_x", "detect", (640, 640),
          _RT_DETR_V2, 67_593_516, 80, 224.99),
    Entry("ssd300", "kzoo.models.ssd:ssd300", "detect", (300, 300), _SSD, 35_641_826, 90, 69.72),
    Entry("ssd512", "kzoo.models.ssd:ssd512", "detect", (512, 512), _SSD, 37_513_116, 90, 200.06),
    Entry("unet", "kzoo.models.unet:unet", "segment", (256, 256), _UNET, 31_031_810, 2, 96.34),
    Entry("vgg16", "kzoo.models.vgg:vgg16", "classify", (224, 224), _VGG, 138_357_544, 1000, 30.94),
    Entry("yolo11n", "kzoo.models.yolo11:yolo11", "detect", (640, 640),
          _YOLO11, 2_639_728, 80, 6.48),
    Entry("yolo11s", "kzoo.models.yolo11:yolo11s", "detect", (640, 640),
          _YOLO11, 9_488_720, 80, 21.47),
    Entry("yolo11m", "kzoo.models.yolo11:yolo11m", "detect", (640, 640),
          _YOLO11, 20_160_624, 80, 67.98),
    Entry("yolo11l", "kzoo.models.yolo11:yolo11l", "detect", (640, 640),
          _YOLO11, 25_434_480, 80, 86.91),
    Entry("yolo11x", "kzoo.models.yolo11:yolo11x", "detect", (640, 640),
          _YOLO11, 57_059_664, 80, 194.9),
    Entry("yolov1", "kzoo.models.yolov1:yolov1", "detect", (448, 448), _YOLOV1, 197_328_243, 20, 40.42),
    Entry("yolov1-paper", "kzoo.models.yolov1:yolov1_paper", "detect", (448, 448),
          _YOLOV1, 271_703_550, 20, 40.57),
    Entry("yolov1-tiny", "kzoo.models.yolov1:yolov1_tiny", "detect", (448, 448),
          _YOLOV1, 27_099_950, 20, 3.22),
    Entry("yolov2", "kzoo.models.yolov2:yolov2", "detect", (608, 608), _YOLOV2, 50_983_561, 80, 62.94),
    Entry("yolov2-tiny", "kzoo.models.yolov2:yolov2_tiny", "detect", (416, 416),
          _YOLOV2, 11_237_145, 80, 5.41),
    Entry("yolov3", "kzoo.models.yolov3:yolov3", "detect", (416, 416), _YOLOV3, 62_001_757, 80, 65.86),
    Entry("yolov3-spp", "kzoo.models.yolov3:yolov3_spp", "detect", (608, 608),
          _YOLOV3, 63_052_381, 80, 141.45),
    Entry("yolov3-tiny", "kzoo.models.yolov3:yolov3_tiny", "detect", (416, 416),
          _YOLOV3, 8_858_734, 80, 5.56),
    Entry("yolov6n", "kzoo.models.yolov6:yolov6", "detect", (640, 640),
          _YOLOV6, 5_081_276, 80, 11.32),
    Entry("yolov6s", "kzoo.models.yolov6:yolov6s", "detect", (640, 640),
          _YOLOV6, 20_193_404, 80, 44.97),
    Entry("yolov6m", "kzoo.models.yolov6:yolov6m", "detect", (640, 640),
          _YOLOV6, 37_821_972, 80, 85.09),
    Entry("yolov6l", "kzoo.models.yolov6:yolov6l", "detect", (640, 640),
          _YOLOV6, 59_701_033, 80, 149.47),
    Entry("yolov8n", "kzoo.models.yolov8:yolov8", "detect", (640, 640),
          _YOLOV8, 3_167_776, 80, 8.74),
    Entry("yolov8s", "kzoo.models.yolov8:yolov8s", "detect", (640, 640),
          _YOLOV8, 11_186_576, 80, 28.6),
    Entry("yolov8m", "kzoo.models.yolov8:yolov8m", "detect", (640, 640),
          _YOLOV8, 25_935_744, 80, 78.94),
    Entry("yolov8l", "kzoo.models.yolov8:yolov8l", "detect", (640, 640),
          _YOLOV8, 43_737_968, 80, 165.15),
    Entry("yolov8x", "kzoo.models.yolov8:yolov8x", "detect", (640, 640),
          _YOLOV8, 68_287_712, 80, 257.8),
    Entry("yolov5n", "kzoo.models.yolov5:yolov5n", "detect", (640, 640),
          _YOLOV5, 1_881_661, 80, 4.47),
    Entry("yolov5s", "kzoo.models.yolov5:yolov5s", "detect", (640, 640),
          _YOLOV5, 7_254_397, 80, 16.43),
    Entry("yolov5m", "kzoo.models.yolov5:yolov5m", "detect", (640, 640),
          _YOLOV5, 21_227_325, 80, 48.87),
    Entry("yolov5l", "kzoo.models.yolov5:yolov5l", "detect", (640, 640),
          _YOLOV5, 46_623_741, 80, 108.99),
    Entry("yolov5x", "kzoo.models.yolov5:yolov5x", "detect", (640, 640),
          _YOLOV5, 86_838_205, 80, 205.45),
    Entry("yolov5n6", "kzoo.models.yolov5:yolov5n6", "detect", (1280, 1280),
          _YOLOV5, 3_261_052, 80, 18.24),
    Entry("yolov5s6", "kzoo.models.yolov5:yolov5s6", "detect", (1280, 1280),
          _YOLOV5, 12_654_844, 80, 67.19),
    Entry("yolov5m6", "kzoo.models.yolov5:yolov5m6", "detect", (1280, 1280),
          _YOLOV5, 35_785_980, 80, 199.65),
    Entry("yolov5l6", "kzoo.models.yolov5:yolov5l6", "detect", (1280, 1280),
          _YOLOV5, 76_857_852, 80, 444.94),
    Entry("yolov5x6", "kzoo.models.yolov5:yolov5x6", "detect", (1280, 1280),
          _YOLOV5, 140_923_900, 80, 838.26),
    Entry("yolov7", "kzoo.models.yolov7:yolov7", "detect", (640, 640), _YOLOV7, 37_669_853, 80, 104.51),
    Entry("yolov7-tiny", "kzoo.models.yolov7:yolov7_tiny", "detect", (640, 640), _YOLOV7, 6_241_885, 80, 13.7),
    Entry("yolov7x", "kzoo.models.yolov7:yolov7x", "detect", (640, 640), _YOLOV7, 71_409_685, 80, 189.67),
    Entry("yolov7-w6", "kzoo.models.yolov7_large:yolov7_large", "detect", (1280, 1280),
          _YOLOV7, 82_379_128, 80, 359.72),
    Entry("yolov7-e6", "kzoo.models.yolov7_large:yolov7_e6", "detect", (1280, 1280),
          _YOLOV7, 111_987_896, 80, 514.43),
    Entry("yolov7-d6", "kzoo.models.yolov7_large:yolov7_d6", "detect", (1280, 1280),
          _YOLOV7, 154_818_168, 80, 701.74),
    Entry("yolov7-e6e", "kzoo.models.yolov7_large:yolov7_e6e", "detect", (1280, 1280),
          _YOLOV7, 166_550_712, 80, 842.18),
    Entry("yolop", "kzoo.models.yolop:yolop", "drive", (384, 640),
          "Wu et al. 2021, YOLOP: You Only Look Once for Panoptic Driving Perception, arXiv:2108.11250",
          7_963_942, 1, 18.49),
    Entry("yolox-nano", "kzoo.models.yolox:yolox_nano", "detect", (416, 416),
          _YOLOX, 927_551, 80, 1.05),
    Entry("yolox-tiny", "kzoo.models.yolox:yolox_tiny", "detect", (416, 416),
          _YOLOX, 5_073_183, 80, 6.41),
    Entry("yolox-s", "kzoo.models.yolox:yolox", "detect", (640, 640),
          _YOLOX, 8_991_359, 80, 26.69),
    Entry("yolox-m", "kzoo.models.yolox:yolox_m", "detect", (640, 640),
          _YOLOX, 25_369_791, 80, 73.53),
    Entry("yolox-l", "kzoo.models.yolox:yolox_l", "detect", (640, 640),
          _YOLOX, 54_278_143, 80, 155.29),
    Entry("yolox-x", "kzoo.models.yolox:yolox_x", "detect", (640, 640),
          _YOLOX, 99_172_415, 80, 281.41),
    Entry("yolov4", "kzoo.models.yolov4:yolov4", "detect", (608, 608), _YOLOV4, 64_429_405, 80, 128.39),
    Entry("yolov4-tiny", "kzoo.models.yolov4:yolov4_tiny", "detect", (416, 416),
          _SCALED_YOLOV4, 6_062_814, 80, 6.91),
    Entry("yolov4-tiny-3l", "kzoo.models.yolov4:yolov4_tiny_3l", "detect", (608, 608),
          _SCALED_YOLOV4, 6_334_045, 80, 17.74),
    Entry("yolov4-csp", "kzoo.models.scaled_yolov4:yolov4_csp", "detect", (512, 512),
          _SCALED_YOLOV4, 52_986_205, 80, 76.95),
    Entry("yolov4-csp-swish", "kzoo.models.scaled_yolov4:yolov4_csp_swish", "detect", (640, 640),
          _SCALED_YOLOV4, 52_986_205, 80, 120.24),
    Entry("yolov4x-mish", "kzoo.models.scaled_yolov4:yolov4x_mish", "detect", (640, 640),
          _SCALED_YOLOV4, 99_847_037, 80, 221.88),
    Entry("yolov4-csp-x-swish", "kzoo.models.scaled_yolov4:yolov4_csp_x_swish", "detect", (640, 640),
          _SCALED_YOLOV4, 99_847_037, 80, 221.88),
    Entry("yolov4-p5", "kzoo.models.scaled_yolov4:yolov4_p5", "detect", (896, 896),
          _SCALED_YOLOV4, 70_917_468, 80, 326.64),
    Entry("yolov4-p6", "kzoo.models.scaled_yolov4:yolov4_p6", "detect", (1280, 1280),
          _SCALED_YOLOV4, 127_717_040, 80, 717.02),
)
# fmt: on
