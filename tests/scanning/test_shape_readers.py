"""Who depends on which tensors' shapes: in linear time, whatever the arithmetic is like."""

from layoutbridge.scanning.graphs.shape_readers import ShapeReaders


def test_each_reader_is_told_of_each_shape():
    readers = ShapeReaders()
    readers.ask(["a"], ["shape of a"])
    readers.ask(["b"], ["shape of b"])
    readers.work_out(["shape of a", "shape of b", "a constant"], ["sum"])
    readers.use(["x", "shape of b"], ["one"])
    readers.within().use(["sum"], ["inside"])
    readers.use(["x", "sum"], ["two", "three"])
    assert readers.by_tensor() == {"a": {"two", "three"}, "b": {"one", "two", "three"}}


def test_a_sum_over_thousands_of_shapes_stays_linear():
    count, readers = 20_000, ShapeReaders()
    for k in range(count):
        readers.ask([f"t{k}"], [f"s{k}"])
        readers.work_out([f"s{k}", f"sum{k - 1}"], [f"sum{k}"])
        readers.use([f"sum{k}"], [f"y{k}"])
    told = readers.by_tensor()
    assert len(told) > count - 20 and all(told.values())
    assert sum(map(len, told.values())) < 40 * count
