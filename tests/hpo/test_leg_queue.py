"""The legs that wait: in what order they are handed out, recorded and taken up again."""

from hpo.checks import run_config
from hpo.ladder import resolve_ladder
from hpo.leg_queue import LegQueue
from hpo.legs import nothing_yet
from hpo.planned import Planned, plan_points
from hpo.points import Leg
from hpo.spec import parse_spec
from trainers.config import RunConfig

SWEEP = """\
name: queue
trainer: random-features
scales: {width: 16, tokens: 3200}
search: {method: grid}
space:
  lr: {choices: [0.001, 0.003, 0.01, 0.03]}
  batch_tokens: {choices: [16, 32]}
resources: {fused: 4}
"""


def new_queue() -> LegQueue:
    spec = parse_spec(SWEEP)
    ladder = resolve_ladder(spec)

    def config_of(leg: Leg) -> RunConfig:
        point = leg.point
        return run_config(spec, point.scale, point.setting, point.seed)

    return LegQueue(
        spec, Planned(plan_points(spec, ladder), spec.reports, ()), nothing_yet(), config_of
    )


def test_legs_of_one_batch_go_together_and_the_others_wait() -> None:
    queue = new_queue()
    queue.look_ahead()
    first = queue.take(n_actors=1, n_out=0)
    second = queue.take(n_actors=1, n_out=4)
    assert first.kind != second.kind
    for pack in (first, second):
        assert len(pack.legs) == 4
        assert len({leg.leg.point.setting["batch_tokens"] for leg in pack.legs}) == 1
    assert not queue


def test_legs_are_divided_between_actors() -> None:
    queue = new_queue()
    queue.look_ahead()
    assert len(queue.take(n_actors=2, n_out=0).legs) == 2
    assert len(queue) == 6


def test_a_leg_is_recorded_with_those_that_were_asked_for_before_it() -> None:
    queue = new_queue()
    queue.look_ahead()
    pack = queue.take(n_actors=1, n_out=0)
    numbers = [leg.number for leg in pack.legs]
    recorded = []
    for number in numbers:
        earlier = queue.record(number)
        recorded += [*(leg.number for leg in earlier), number]
    assert recorded == list(range(numbers[-1] + 1))
    assert all(queue.is_recorded(number) for number in recorded)
    assert {leg.number for leg in queue.waiting} == set(range(8)) - set(numbers)


def test_a_leg_that_failed_among_others_is_handed_out_alone() -> None:
    queue = new_queue()
    queue.look_ahead()
    pack = queue.take(n_actors=1, n_out=0)
    for leg in pack.legs:
        queue.keep_alone(leg.number)
        queue.put_back(leg, first=True)
    for _ in pack.legs:
        assert len(queue.take(n_actors=1, n_out=0).legs) == 1
    assert len(queue.take(n_actors=1, n_out=0).legs) == 4


def test_others_of_a_kind_take_the_place_of_legs_that_ended() -> None:
    queue = new_queue()
    queue.look_ahead()
    pack = queue.take(n_actors=2, n_out=0)
    assert pack.kind is not None
    joining = queue.take_alike(pack.kind, 1, n_actors=2, n_out=1)
    batches = {leg.leg.point.setting["batch_tokens"] for leg in (*pack.legs, *joining)}
    assert len(joining) == len(batches) == 1
    assert queue.take_alike(pack.kind, 9, n_actors=1, n_out=1)
    assert not queue.take_alike(pack.kind, 9, n_actors=1, n_out=1)
