"""Which keys each of Darknet's sections has, and what becomes of them here.

From what the parsers of both forks read (pjreddie and AlexeyAB, `src/parser.c`) and from what their cfg files hold.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from kzoo.darknet.cfg import Cfg, Section


@dataclass(frozen=True)
class Keys:
    """The keys of one kind of section.

    Attributes:
        network: keys that state what is built and how its outputs are read.
        training: keys that state how the network is trained; kzoo trains so.
        ignored: keys without effect here; `kzoo train` names those that a file has.
        refused: keys that would change the network in a way that is not built; they must be 0.
    """

    network: frozenset[str]
    training: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    refused: frozenset[str] = field(default=frozenset())

    @property
    def known(self) -> frozenset[str]:
        return self.network | self.training | self.ignored | self.refused


def _keys(network: str, training: str = "", ignored: str = "", refused: str = "") -> Keys:
    return Keys(*(frozenset(part.split()) for part in (network, training, ignored, refused)))


# What AlexeyAB's fork reads of every section.
_OF_ALL = _keys(
    "",
    ignored="burnin_update clip dont_update dontsave learning_rate onlyforward smooth stopbackward train_only_bn truth",
    refused="dontload dontloadscales numload",
)
_NET = _keys(
    "width height channels letter_box",
    "adam angle B1 B2 batch burn_in decay ema_alpha eps exposure flip gamma hue learning_rate "
    "learning_rate_min max_batches momentum mosaic policy power resize_step saturation scale scales sgdr_cycle "
    "sgdr_mult step steps subdivisions",
    "aspect attention adversarial_lr augment_speed badlabels_rejection_percentage blur center clip contrastive "
    "contrastive_color contrastive_jit_flip cutmix dynamic_minibatch equidistant_point gaussian_noise inputs "
    "label_smooth_eps loss_scale max_chart_loss max_crop max_ratio min_crop min_ratio mixup "
    "mosaic_bound notruth num_sigmas_reject_badlabels optimized_memory random seen seq_scales "
    "sequential_subdivisions show_receptive_field time_steps track try_fix_nan unsupervised use_cuda_graph "
    "weights_reject_freq workspace_size_limit_MB",
)
_SECTIONS = {
    "convolutional": _keys(
        "activation batch_normalize cbn dilation filters groups pad padding share_index size stride stride_x "
        "stride_y",
        ignored="angle assisted_excitation dot grad_centr rotate stream stretch stretch_sway sway wait_stream",
        refused="antialiasing binary bin_output coordconv flipped reverse xnor",
    ),
    "connected": _keys("activation batch_normalize output", refused="binary xnor"),
    "local": _keys("activation filters pad size stride"),
    "maxpool": _keys(
        "padding size stride stride_x stride_y",
        ignored="maxpool_zero_nonmax out_channels pad",
        refused="antialiasing maxpool_depth",
    ),
    "local_avgpool": _keys("padding size stride stride_x stride_y"),
    "avgpool": _keys(""),
    "upsample": _keys("scale stride"),
    "route": _keys("group_id groups layers", ignored="stream wait_stream"),
    "shortcut": _keys("activation alpha beta from weights_normalization weights_normalizion weights_type"),
    "scale_channels": _keys("activation from scale_wh"),
    "sam": _keys("activation from"),
    "reorg": _keys("stride", refused="extra flatten reverse"),
    "reorg3d": _keys("stride", refused="reverse"),
    "dropout": _keys("probability", ignored="dropblock dropblock_size_abs dropblock_size_rel"),
    "batchnorm": _keys(""),
    "activation": _keys("activation"),
    "crop": _keys("crop_height crop_width noadjust", ignored="angle exposure flip saturation shift"),
    "empty": _keys(""),
    "softmax": _keys("groups temperature tree", ignored="noloss", refused="spatial"),
    "l2norm": _keys(""),
    "logistic": _keys(""),
    "cost": _keys("", ignored="noobj noobject_scale ratio scale thresh type"),
    "yolo": _keys(
        "anchors beta_nms classes mask new_coords nms_kind num scale_x_y",
        "cls_normalizer ignore_thresh iou_loss iou_normalizer iou_thresh jitter label_smooth_eps "
        "obj_normalizer objectness_smooth random resize truth_thresh",
        "absolute bias_match class_scale coord_scale counters_per_class delta_normalizer dets_for_show "
        "dets_for_track embedding_layer focal_loss iou_thresh_kind map max max_delta noobject_scale "
        "object_scale rescore show_details sim_thresh softmax thresh track_ciou_norm track_history_size "
        "uc_normalizer beta1",
    ),
    "Gaussian_yolo": _keys(
        "anchors beta_nms classes mask nms_kind num scale_x_y yolo_point",
        "cls_normalizer ignore_thresh iou_loss iou_normalizer iou_thresh jitter label_smooth_eps obj_normalizer "
        "random resize truth_thresh uc_normalizer",
        "counters_per_class delta_normalizer iou_thresh_kind map max max_delta objectness_smooth",
    ),
    "region": _keys(
        "anchors classes coords map num softmax tree",
        "bias_match class_scale coord_scale jitter noobject_scale object_scale random rescore resize thresh",
        "absolute classfix focal_loss log mask_scale max sqrt",
        "background",
    ),
    "detection": _keys(
        "classes coords num side softmax sqrt",
        "class_scale coord_scale jitter noobject_scale object_scale random rescore resize",
        "forced max nuisance thresh",
        "background reorg",
    ),
}
_LISTED = 20  # unknown keys that are listed
# Darknet's others, by the reason they are not built.
_NOT_BUILT = {
    **dict.fromkeys(("rnn", "crnn", "gru", "lstm", "conv_lstm", "history"), "recurrent layers are"),
    **dict.fromkeys(("iseg", "contrastive"), "this head is"),
    **dict.fromkeys(("deconvolutional", "implicit", "normalization"), "this layer is"),
}


def check(cfg: Cfg) -> None:
    """Whether every section is one that is known, and no key that is set asks for what is not built.

    Keys that nobody knows are passed over, as Darknet does; `unknown` lists them.

    Raises:
        ValueError: one is not; the message names file and line.
    """
    for section in (cfg.net, *cfg.sections):
        keys = _NET if section.kind == "net" else _SECTIONS.get(section.kind)
        if keys is None:
            raise _unknown_section(section)
        for key in section.options:
            if key in keys.refused | _OF_ALL.refused and not _is_zero(section, key):
                raise section.fault(key, "is not built; only 0 is, or leave the key out")


def unknown(cfg: Cfg) -> str | None:
    """A warning that lists the keys that neither fork reads, with their lines; None where there are none."""
    unread = []
    for section in (cfg.net, *cfg.sections):
        keys = _NET if section.kind == "net" else _SECTIONS[section.kind]
        known = keys.known if keys is _NET else keys.known | _OF_ALL.known
        for key in section.options:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; is it {near[0]}?" if near else ""
                unread.append(f"{key} (line {section.line_of(key)}{hint})")
    if not unread:
        return None
    more = f" and {len(unread) - _LISTED} more" if len(unread) > _LISTED else ""
    return f"{cfg.path}: keys that Darknet does not read either are passed over: {', '.join(unread[:_LISTED])}{more}"


def training(section: Section) -> frozenset[str]:
    """The keys of a section by which kzoo trains."""
    return (_NET if section.kind == "net" else _SECTIONS[section.kind]).training


def ignored(cfg: Cfg) -> list[tuple[str, int]]:
    """The keys that state something about training which is not done here, each with its line."""
    without_effect = []
    for section in (cfg.net, *cfg.sections):
        keys = _NET if section.kind == "net" else _SECTIONS[section.kind]
        for key in section.options:
            if key in keys.ignored or (keys is not _NET and key in _OF_ALL.ignored):
                without_effect.append((key, section.line_of(key)))
    return without_effect


def _is_zero(section: Section, key: str) -> bool:
    return not section.flag(key)


def _unknown_section(section: Section) -> ValueError:
    if section.kind in _NOT_BUILT:
        return section.fault(None, f"{_NOT_BUILT[section.kind]} not built; kzoo cannot take this network")
    near = difflib.get_close_matches(section.kind, _SECTIONS, n=1)
    hint = f"is it [{near[0]}]?" if near else f"known: {', '.join(_SECTIONS)}"
    return section.fault(None, f"this section is unknown; {hint}")
