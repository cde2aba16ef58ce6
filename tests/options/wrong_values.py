"""Words that an option must refuse and words that it must take, made from what it declares."""

from kzoo.options import (
    Component,
    Flag,
    Names,
    Number,
    Option,
    Place,
    Size,
    Sizes,
    Special,
    Text,
    Whole,
    Word,
)


def wrong_words(option: Option) -> list[str]:
    """What no command may take for the option."""
    if isinstance(option, Number):
        return [
            *_outside(option),
            "nan",
            "inf",
            "-inf",
            "many",
            "",
            *(["1.5", "1e3"] * isinstance(option, Whole)),
        ]
    if isinstance(option, Sizes):
        return ["", "0", "-1", "64,", "64x", "64,big", f"64,{option.most + 1}", "1x2x3"]
    if isinstance(option, Size):
        return ["", "0", str(option.least - 1), "-1", "64x", "64x0", "big", "1x2x3", "nan", str(10**7), "6.5"]
    if isinstance(option, Names):
        return ["", "juggle", f"{option.choices[0]},", ",".join(option.choices[:1] * 2)]
    if isinstance(option, Word):
        return ["", " ", "juggle", option.choices[0].upper(), *option.prefixes]
    if isinstance(option, Component):
        return ["", " ", "..", ".", "a/../../b", "/a", "a\\b", "a\nb", "a" * 300]
    if isinstance(option, (Place, Text)):
        return ["", " "]
    return [""] if isinstance(option, Special) else []


def _outside(option: Number) -> list[str]:
    """Numbers just beyond the bounds, and far beyond."""
    step = 1 if isinstance(option, Whole) else 1e-6
    found = []
    if option.least is not None:
        found += [option.least - step, option.least - 10**9]
    if option.above is not None:
        found += [option.above, option.above - step]
    if option.most is not None:
        found += [option.most + step, 10**20]
    if option.below is not None:
        found += [option.below, option.below + step]
    return [str(number) for number in found]


def right_words(option: Option) -> list[str]:
    """What every command has to take."""
    if isinstance(option, Number):
        bounds = [bound for bound in (option.least, option.most) if bound is not None]
        inner = [] if option.above is None else [option.above + (option.most or option.above + 2) / 2]
        return [str(int(one) if isinstance(option, Whole) else one) for one in (*bounds, *inner)]
    if isinstance(option, Sizes):
        return [f"{option.least}", f"{option.least},{option.most}x{option.least}"]
    if isinstance(option, Size):
        return [str(option.least), f"{option.least}x{option.most}"]
    if isinstance(option, Names):
        return [option.choices[0], ",".join(option.choices)]
    if isinstance(option, Word):
        return [*option.choices, *(f"{one}folder" for one in option.prefixes)]
    return [] if isinstance(option, (Special, Flag)) else ["name"]
