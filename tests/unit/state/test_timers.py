"""The timer queue against a model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.state.timers import TimerQueue

_TIMES = st.integers(0, 9)
_KEYS = st.sampled_from("abc")
_ACTIONS = st.one_of(
    st.tuples(st.just("set"), _TIMES, _KEYS),
    st.tuples(st.just("delete"), _TIMES, _KEYS),
    st.tuples(st.just("fire"), _TIMES, st.none()),
)


@given(st.lists(_ACTIONS, max_size=60))
def test_timers_fire_once_in_order_of_time(actions: list[tuple[str, int, str]]) -> None:
    queue = TimerQueue()
    model: dict[tuple[int, str], None] = {}
    for action, time, key in actions:
        if action == "set":
            queue.register(time, key)
            model.setdefault((time, key))
        elif action == "delete":
            queue.delete(time, key)
            model.pop((time, key), None)
        else:
            expected = sorted((pair for pair in model if pair[0] <= time), key=lambda pair: pair[0])
            assert list(queue.due(time)) == expected
            for pair in expected:
                del model[pair]
        assert len(queue) == len(model)
        assert queue.next_time() == min((pair[0] for pair in model), default=None)


def test_timers_set_and_deleted_while_firing() -> None:
    queue = TimerQueue()
    for key in "abc":
        queue.register(5, key)
    fired = []
    for time, key in queue.due(6):
        fired.append((time, key))
        if key == "a":
            queue.delete(5, "b")
            queue.register(5, "d")
            queue.register(3, "e")
            queue.register(6, "f")
            queue.register(7, "g")
    assert fired == [(5, "a"), (5, "c"), (5, "d"), (3, "e"), (6, "f")]
    assert queue.next_time() == 7


def test_stopping_in_the_middle_keeps_the_rest() -> None:
    queue = TimerQueue()
    for key in "abc":
        queue.register(5, key)
    assert next(queue.due(5)) == (5, "a")
    assert list(queue.due(5)) == [(5, "b"), (5, "c")]
    assert queue.next_time() is None
