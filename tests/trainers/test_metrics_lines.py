"""Which lines of a script are metrics, and what they say."""

import math

import pytest

from trainers.errors import TrainerError
from trainers.metrics_lines import Metrics, MetricsReader


def test_a_line_with_the_loss_is_metrics():
    line = '{"step": 10, "tokens": 2e4, "val": 3.5, "train_loss": 4, "lr": 0.1, "other": [1]}'
    assert MetricsReader("val").read(line) == Metrics(
        loss=3.5, step=10, tokens=20_000, train_loss=4.0, lr=0.1
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "step 10: loss 3.5",
        '{"step": 10}',
        '{"loss": 3.5',
        '[{"loss": 3.5}]',
        'INFO {"loss": 3.5}',
        '{"a": ' * 10_000 + "}",
    ],
)
def test_other_lines_are_log(line: str):
    assert MetricsReader("loss").read(line) is None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null", '"nan"', "1e999"])
def test_a_loss_that_is_no_number_is_nan(value: str):
    metrics = MetricsReader("loss").read(f'{{"loss": {value}}}')
    assert metrics is not None
    assert math.isnan(metrics.loss)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"loss": "low"}', "loss is 'low' in the line"),
        ('{"loss": true}', "loss is True"),
        ('{"loss": 1, "step": "a"}', "step is 'a'"),
        ('{"loss": 1, "tokens": -1}', "tokens is -1"),
        ('{"loss": 1, "flops": NaN}', "flops is nan"),
        (f'{{"loss": 1, "tokens": 1{"0" * 400}}}', "tokens is 1000"),
    ],
)
def test_values_that_cannot_be_are_refused(line: str, says: str):
    with pytest.raises(TrainerError) as caught:
        MetricsReader("loss").read(line)
    assert says in str(caught.value)


def test_where_there_is_no_loss_the_names_that_there_are_are_told():
    reader = MetricsReader("val_loss")
    assert reader.what_was_expected().endswith("on its standard output")
    reader.read('{"step": 1, "valid_loss": 3.5}')
    said = reader.what_was_expected()
    assert '"val_loss": 3.21' in said
    assert "did you mean loss: valid_loss? its JSON lines have step, valid_loss" in said
