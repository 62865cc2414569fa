"""Columns of steps: every connection is drawn, straight down, in a lane, or in words."""

from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.report.pages.alignment import aligned
from layoutbridge.report.pages.lanes import column, lane_cells


@st.composite
def graphs(draw):
    """Rows of steps, some of them empty, and what each step reads."""
    count = draw(st.integers(1, 40))
    sources = {step: sorted(draw(st.sets(st.integers(0, step - 1), max_size=4))) for step in range(1, count)}
    rows = [step for at in range(count) for step in [*[None] * draw(st.integers(0, 2)), at]]
    return rows, sources


@given(graphs())
def test_every_connection_is_drawn_once(graph):
    rows, sources = graph
    made = column(rows, sources)
    place = {step: row for row, step in enumerate(rows) if step is not None}
    wanted = {(place[source], place[step]) for step, held in sources.items() for source in held}
    order = sorted(place.values())
    straight = {(row, order[order.index(row) + 1]) for row in made.flows}
    in_lanes = {(lane.start, end) for lane in made.lanes for end in lane.ends}
    in_words = {(start, row) for row, starts in made.cut.items() for start in starts}
    assert straight | in_lanes | in_words == wanted
    assert len(straight) + len(in_lanes) + len(in_words) == len(wanted)
    assert all(rows[row] is None for row in made.through)


@given(graphs())
def test_lanes_never_meet(graph):
    rows, sources = graph
    taken = set()
    for lane in column(rows, sources).lanes:
        held = {(lane.number, row) for row in range(lane.start, max(lane.ends) + 1)}
        assert not held & taken
        taken |= held


def test_a_network_that_reads_everything_is_drawn_all_the_same():
    count = 60
    made = column(list(range(count)), {step: list(range(step)) for step in range(count)})
    assert made.cut
    assert len(lane_cells(made, count)) == count
    assert made.width < 200


@given(st.lists(st.none() | st.integers(0, 30), max_size=30), st.integers(31, 35))
def test_aligned_rows_have_every_step_once_and_in_order(partners, right):
    pairs = {place: partner for place, partner in enumerate(partners) if partner is not None}
    rows = aligned(pairs, len(partners), right)
    assert [one for one, _ in rows if one is not None] == list(range(len(partners)))
    assert [other for _, other in rows if other is not None] == list(range(right))
    shared = [(one, other) for one, other in rows if one is not None and other is not None]
    assert all(pairs[one] == other for one, other in shared)
    assert len(shared) == longest_rise([pairs[place] for place in sorted(pairs)])


def longest_rise(numbers):
    """By trying all beginnings: the length of the longest part that rises."""
    best = []
    for place, number in enumerate(numbers):
        best.append(1 + max((best[before] for before in range(place) if numbers[before] < number), default=0))
    return max(best, default=0)
