"""A prediction as the configuration of a training framework: plain text, to copy.

    planned = plan_training(answer(law, runs, params=7e9, tokens=1.4e11), runs, context=4096)
    print(emit("torchtitan", planned))

Beside each number stands where it comes from: predicted, by a rule, as in the runs, or given by
whoever asks. A number that nobody told, such as the length of a warm-up, is left out, and the
framework's own default holds; the heading names these, and known ones that the framework has no
key for. Names of keys were checked in the frameworks' own files or published configurations (see
`FRAMEWORKS`); frameworks change, so read the text before it is run.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from scaling.errors import LawError
from scaling.evidence import setting_name
from scaling.planned_training import GIVEN, Number, PlannedTraining, overdone_decay, rounding
from storage.columns import BETA1, BETA2, EPS, WARMUP_TOKENS, WEIGHT_DECAY

# What a framework writes: (key, number, how it is written); a key without a number is left out.
Line = tuple[str, Number | None, Callable[[float], str]]

CONTEXT: Final = "context"  # tokens of a sequence
TORCH_BETAS: Final = (0.9, 0.999)  # defaults of torch.optim.AdamW


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _rate(value: float) -> str:
    return _with_point(f"{value:.3g}")


def _exact(value: float) -> str:
    return _with_point(f"{value:g}")


def _with_point(text: str) -> str:
    """Write 9e-05 as 9.0e-05, without which YAML takes it for a word."""
    mantissa, exponent, power = text.partition("e")
    return text if not exponent or "." in mantissa else f"{mantissa}.0e{power}"


def _given(value: float) -> Number:
    return Number(value, GIVEN)


def _betas(run: PlannedTraining, pair: str) -> Line:
    """Return the betas as torch takes them, both or none: beside a known one, torch's own other."""
    if run.beta1 is None and run.beta2 is None:
        return ("betas", None, _exact)
    first, second = (
        Number(default, "torch's own") if beta is None else beta
        for beta, default in zip((run.beta1, run.beta2), TORCH_BETAS, strict=True)
    )
    origin = first.origin
    if second.origin != origin:
        origin = f"beta1 {first.origin}, beta2 {second.origin}"
    text = pair.format(_exact(first.value), _exact(second.value))
    return ("betas", Number(first.value, origin), lambda _: text)


def _pytorch(run: PlannedTraining) -> str:
    lines: list[Line] = [
        ("lr", run.lr, _rate),
        _betas(run, "({}, {})"),
        ("eps", run.eps, _exact),
        ("weight_decay", run.weight_decay, _rate),
    ]
    optimizer = "\n".join(_written(lines, "    {key}={value},  # {origin}"))
    rest: list[Line] = [
        ("sequence_length", _given(run.context), _whole),
        ("sequences_per_step", run.sequences, _whole),
        ("steps", run.steps, _whole),
        ("warmup_steps", run.warmup_steps, _whole),
    ]
    plain = "\n".join(_written(rest, "{key} = {value}  # {origin}"))
    return f"optimizer = torch.optim.AdamW(\n    model.parameters(),\n{optimizer}\n)\n{plain}"


def _hugging_face(run: PlannedTraining) -> str:
    lines: list[Line] = [
        ("learning_rate", run.lr, _rate),
        ("weight_decay", run.weight_decay, _rate),
        ("adam_beta1", run.beta1, _exact),
        ("adam_beta2", run.beta2, _exact),
        ("adam_epsilon", run.eps, _exact),
        ("per_device_train_batch_size", _given(run.device_batch), _whole),
        ("gradient_accumulation_steps", _accumulation(run), _whole),
        ("max_steps", run.steps, _whole),
        ("warmup_steps", run.warmup_steps, _whole),
    ]
    body = "\n".join(_written(lines, "    {key}={value},  # {origin}"))
    return f'args = TrainingArguments(\n    output_dir="out",\n{body}\n)'


def _nanogpt(run: PlannedTraining) -> str:
    # Its script takes accumulation over all devices, and divides it by their number.
    over_all = Number(run.accumulation * run.devices, _accumulation(run).origin)
    lines: list[Line] = [
        ("learning_rate", run.lr, _rate),
        ("weight_decay", run.weight_decay, _rate),
        ("beta1", run.beta1, _exact),
        ("beta2", run.beta2, _exact),
        ("block_size", _given(run.context), _whole),
        ("batch_size", _given(run.device_batch), _whole),
        ("gradient_accumulation_steps", over_all, _whole),
        ("max_iters", run.steps, _whole),
        ("lr_decay_iters", run.steps, _whole),
        ("warmup_iters", run.warmup_steps, _whole),
    ]
    return "\n".join(_written(lines, "{key} = {value}  # {origin}"))


def _torchtitan(run: PlannedTraining) -> str:
    sections: dict[str, list[Line]] = {
        "optimizer": [
            ("lr", run.lr, _rate),
            ("weight_decay", run.weight_decay, _rate),
            ("beta1", run.beta1, _exact),
            ("beta2", run.beta2, _exact),
            ("eps", run.eps, _exact),
        ],
        "lr_scheduler": [("warmup_steps", run.warmup_steps, _whole)],
        "training": [
            ("seq_len", _given(run.context), _whole),
            ("local_batch_size", _given(run.device_batch), _whole),
            ("global_batch_size", run.sequences, _whole),
            ("steps", run.steps, _whole),
        ],
    }
    parts = []
    for section, lines in sections.items():
        name = ['name = "AdamW"'] if section == "optimizer" else []
        if body := [*name, *_written(lines, "{key} = {value}  # {origin}")]:
            parts.append("\n".join([f"[{section}]", *body]))
    return "\n\n".join(parts)


def _megatron(run: PlannedTraining) -> str:
    lines: list[Line] = [
        ("lr", run.lr, _rate),
        ("weight-decay", run.weight_decay, _rate),
        ("adam-beta1", run.beta1, _exact),
        ("adam-beta2", run.beta2, _exact),
        ("adam-eps", run.eps, _exact),
        ("seq-length", _given(run.context), _whole),
        ("micro-batch-size", _given(run.device_batch), _whole),
        ("global-batch-size", run.sequences, _whole),
        ("train-iters", run.steps, _whole),
        ("lr-warmup-iters", run.warmup_steps, _whole),
    ]
    body = "\n".join(_written(lines, "    --{key} {value}  # {origin}"))
    return f"TRAINING_ARGS=(\n    --optimizer adam\n{body}\n)"


def _litgpt(run: PlannedTraining) -> str:
    train: list[Line] = [
        ("global_batch_size", run.sequences, _whole),
        ("micro_batch_size", _given(run.device_batch), _whole),
        ("max_seq_length", _given(run.context), _whole),
        ("max_tokens", _given(run.prediction.target.tokens), _whole),
        ("lr_warmup_steps", run.warmup_steps, _whole),
    ]
    optimizer: list[Line] = [
        ("lr", run.lr, _rate),
        ("weight_decay", run.weight_decay, _rate),
        _betas(run, "[{}, {}]"),
        ("eps", run.eps, _exact),
    ]
    body = [
        "train:",
        *_written(train, "  {key}: {value}  # {origin}"),
        "optimizer:",
        "  class_path: torch.optim.AdamW",
        "  init_args:",
        *_written(optimizer, "    {key}: {value}  # {origin}"),
    ]
    return "\n".join(body)


def _accumulation(run: PlannedTraining) -> Number:
    return Number(run.accumulation, run.sequences.origin)


def _written(lines: list[Line], style: str) -> list[str]:
    return [
        style.format(key=key, value=write(number.value), origin=number.origin)
        for key, number, write in lines
        if number is not None
    ]


class Framework(NamedTuple):
    """How one framework is told.

    Attributes
    ----------
    title : what people call it.
    language : of the text, as highlighters name it.
    checked : where its keys were read.
    write : the text, without its heading.
    lacks : names of numbers that the text has no key for.
    """

    title: str
    language: str
    checked: str
    write: Callable[[PlannedTraining], str]
    lacks: tuple[str, ...] = ()


FRAMEWORKS: Final[dict[str, Framework]] = {
    "pytorch": Framework("PyTorch", "python", "torch.optim.AdamW", _pytorch),
    "huggingface": Framework(
        "Hugging Face",
        "python",
        "TrainingArguments of transformers",
        _hugging_face,
        lacks=(CONTEXT,),
    ),
    "nanogpt": Framework("nanoGPT", "python", "train.py of nanoGPT", _nanogpt, lacks=(EPS,)),
    "torchtitan": Framework("torchtitan", "toml", "job_config.py of torchtitan, 2025", _torchtitan),
    "megatron": Framework(
        "Megatron-LM", "bash", "published launch scripts of Megatron-LM", _megatron
    ),
    "litgpt": Framework("LitGPT", "yaml", "published pretraining configurations", _litgpt),
}
"""All frameworks there are, by the name they are asked for."""


def emit(framework: str, planned: PlannedTraining) -> str:
    """Return the configuration of one training run for a framework, a text that ends in a newline.

    Every framework's text is read as it is by that framework's own language: what is not a setting
    is a comment.

    Raises
    ------
    LawError : there is no such framework; the message names those there are.
    """
    if framework not in FRAMEWORKS:
        close = difflib.get_close_matches(framework.lower(), FRAMEWORKS, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise LawError(f"no framework {framework!r}; {meant}there are {', '.join(FRAMEWORKS)}")
    chosen = FRAMEWORKS[framework]
    heading = "\n".join(f"# {line}" for line in _heading(chosen, planned))
    return f"{heading}\n{chosen.write(planned)}\n"


def _heading(framework: Framework, run: PlannedTraining) -> Iterator[str]:
    prediction = run.prediction
    target, law = prediction.target, prediction.law
    shape = "".join(f", {axis} {value:.4g}" for axis, value in target.shape.items())
    yield f"{framework.title}: N = {target.params:.4g}, D = {target.tokens:.4g}{shape}"
    yield f"law '{law.name}' of {law.runs} runs; loss {prediction.loss.value:.4f} expected"
    yield (
        f"{run.devices} device{'s' * (run.devices > 1)}, {run.device_batch} "
        f"sequence{'s' * (run.device_batch > 1)} of {run.context:,} tokens each at a time"
    )
    numbers = {
        WEIGHT_DECAY: run.weight_decay,
        BETA1: run.beta1,
        BETA2: run.beta2,
        EPS: run.eps,
        WARMUP_TOKENS: run.warmup_tokens,
        CONTEXT: _given(run.context),
    }
    if left_out := [setting_name(name) for name, number in numbers.items() if number is None]:
        yield f"not known here, the framework's own: {', '.join(left_out)}"
    if without_key := [
        f"{setting_name(name)} {number.value:.12g} ({number.origin})"
        for name in framework.lacks
        if (number := numbers[name]) is not None
    ]:
        yield f"known, but without a key here, set it yourself: {', '.join(without_key)}"
    yield "schedule: the one that the runs had; the law is one of peak rates under it"
    for caution in (*run.cautions, *rounding(run), *overdone_decay(run)):
        yield f"caution: {caution}"
