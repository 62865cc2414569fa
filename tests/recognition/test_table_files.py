"""Tables in files that nobody vouches for: what is read, what is refused in one line, and what it costs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from layoutbridge.errors import UnusableInputError
from layoutbridge.recognition.targets.table_files import read_table

TABLE = np.array([0, 2, 4, 1, 3, 5])
CSV = {
    "a line each": b"0\n2\n4\n1\n3\n5\n",
    "one line": b"0,2,4,1,3,5",
    "rows of other lengths": b"0,2,4,1\n3,5\n",
    "lines as on Windows": b"0,2,4\r\n1,3,5\r\n",
    "lines as on old Macs": b"0,2,4\r1,3,5\r",
    "empty lines": b"\n0,2\n\n4,1,3\n5\n\n",
    "quotes, spaces and a byte order mark": b'\xef\xbb\xbf"0", 2,"4"\n1 ,3,5',
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV)
def test_every_form_of_csv(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert np.array_equal(read_table(path), TABLE)


def test_a_line_longer_than_is_taken_at_once(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    for length in range(1, 40):
        monkeypatch.setattr("layoutbridge.recognition.targets.table_files._PIECE", length)
        path.write_text("10,211,3,4\n\n5,6666,7\n8\n")
        assert read_table(path).tolist() == [10, 211, 3, 4, 5, 6666, 7, 8]
        for wrong in ("1,2,\n3\n", "1,,2\n", ",1,2\n", "1,2\n3,", "1,x,2"):
            path.write_text(wrong)
            with pytest.raises(UnusableInputError, match="invalid literal"):
                read_table(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<i8", ">i4", "u1"])
def test_every_form_of_npy(tmp_path, dtype, order):
    path = tmp_path / "table.NPY"
    with path.open("wb") as file:
        np.save(file, np.asarray(TABLE.reshape(2, 3), dtype, order))
    read = read_table(path)
    assert read.dtype == dtype and np.array_equal(read, TABLE.reshape(2, 3))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_every_form_of_json(tmp_path, encoding):
    path = tmp_path / "table.json"
    for value in (TABLE.tolist(), {"name": "é", "table": TABLE.tolist()}):
        path.write_bytes(json.dumps(value, ensure_ascii=False).encode(encoding))
        assert np.array_equal(read_table(path), TABLE)
    path.write_bytes(json.dumps(TABLE.reshape(1, 3, 2).tolist()).encode(encoding))
    assert read_table(path).shape == (1, 3, 2)


def npy(header: bytes, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    length = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + header + content


HEADER = b"{'descr': '%s', 'fortran_order': False, 'shape': %s, }"
WRONG = {
    "an empty file": (".csv", b"", "is empty"),
    "a cell without end": (".csv", b"1" * 200_000, "field larger than field limit"),
    "a number of too many digits": (".csv", b"1" * 5000, "4300"),
    "a number beyond 64 bits": (".csv", b"1" * 20, "too big|too large"),
    "words": (".csv", b"one,two", "'one'"),
    "zeros": (".csv", b"1,2\0", "zeros"),
    "other bytes": (".csv", b"\xff\xfe\x00", "can't decode"),
    "a quote never closed": (".csv", b'"1' + b",2" * 100_000, "field larger"),
    "no JSON": (".json", b"[1, 2", "Expecting"),
    "no table": (".json", b'{"name": 1}', "needs the key 'table'"),
    "lists of other lengths": (".json", b"[[1, 2], [3]]", "1 to 2 entries side by side"),
    "lists and numbers": (".json", b"[[1, 2], 3]", "a list beside numbers"),
    "text": (".json", b'[1, "x"]', "it holds text"),
    "fractions": (".json", b"[1.5]", "a fraction"),
    "no number": (".json", b"[NaN]", "a fraction"),
    "conditions": (".json", b"[true]", "true or false"),
    "nothing": (".json", b"[null]", "null"),
    "a large number": (".json", b"[9223372036854775808]", "too (big|large)|out of bounds"),
    "200,000 lists in one another": (".json", b"[" * 200_000, "recursion"),
    "100 lists in one another": (".json", b"[" * 100 + b"]" * 100, "nested 100 deep"),
    "objects in one another": (".json", b'{"table":' * 200_000, "recursion"),
    "another file": (".npy", b"PK\3\4", "not a whole .npy file"),
    "a header cut short": (".npy", npy(b"{" * 10)[:-3], "not a whole .npy file"),
    "a header that is code": (".npy", npy(b"__import__('os').system('true')"), "not a whole .npy file"),
    "brackets without end": (".npy", npy(b"(" * 9000), "not a whole .npy file"),
    "a header of gigabytes": (".npy", b"\x93NUMPY\2\0\xff\xff\xff\xff{", "not a whole .npy file"),
    "objects": (".npy", npy(HEADER % (b"|O", b"(1,)")), "pickled"),
    "fractions in a .npy": (".npy", npy(HEADER % (b"<f4", b"(1,)"), bytes(4)), "it holds float32"),
    "text of gigabytes": (".npy", npy(HEADER % (b"<U100000000", b"(1,)"), bytes(4)), "it holds <U100000000"),
    "fewer numbers": (".npy", npy(HEADER % (b"<i8", b"(9223372036854775807, 9)"), bytes(9)), "cut short"),
    "negative lengths": (".npy", npy(HEADER % (b"<i8", b"(-1,)"), bytes(16)), "negative"),
    "axes": (".npy", npy(HEADER % (b"<i8", b"(" + b"1," * 100 + b")"), bytes(8)), "100 axes"),
}  # fmt: skip


@pytest.mark.parametrize(("ending", "content", "says"), WRONG.values(), ids=WRONG)
def test_other_content_is_told_in_one_line(tmp_path, ending, content, says):
    path = tmp_path / f"table{ending}"
    path.write_bytes(content)
    with pytest.raises(UnusableInputError, match=says) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes have names there")
def test_a_pipe_or_a_device_under_a_tables_name(tmp_path):
    for ending in (".npy", ".csv", ".json"):
        pipe, device = tmp_path / f"pipe{ending}", tmp_path / f"device{ending}"
        os.mkfifo(pipe)
        device.symlink_to("/dev/zero")
        for path in (pipe, device):
            with pytest.raises(UnusableInputError, match="a pipe or a device"):
                read_table(path)


COSTLY = {
    "numbers of one digit": (".csv", lambda: b"1," * 4_000_000 + b"1"),
    "lines of one digit": (".csv", lambda: b"1\n" * 2_000_000),
    "text that NumPy would pad": (".json", lambda: b'["' + b"x" * 50_000 + b'"' + b',"a"' * 20_000 + b"]"),
    "empty lists": (".json", lambda: b"[" + b"[]," * 1_000_000 + b"[]]"),
    "more lists": (".json", lambda: b"[" + b"[1]," * 2_000_000 + b"[1]]"),
    "objects": (".json", lambda: b"[" + b"{}," * 2_000_000 + b"{}]"),
    "letters of four bytes": (".json", lambda: b'["' + b"x" * 8_000_000 + "\U0001f600".encode() + b'"]'),
    "a table of a hundred thousand": (".json", lambda: json.dumps(list(range(100_000))).encode()),
}
MEASURE = """
import sys
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.recognition.targets.table_files import read_table

def held():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024

before = held()
try:
    read_table(sys.argv[1])
except LayoutBridgeError as error:
    print(error, file=sys.stderr)
print(held() - before)
"""


@pytest.mark.sample(3, slow=2)
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is measured as Linux tells it")
@pytest.mark.parametrize(("ending", "content"), COSTLY.values(), ids=COSTLY)
def test_reading_costs_four_times_the_size_and_300_mb_at_most(tmp_path, ending, content):
    path = tmp_path / f"table{ending}"
    size = path.write_bytes(content())
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 * size + 300_000_000
    assert done.stderr.count("\n") <= 1


def test_json_that_would_take_more_says_which_limit_to_lift(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    path.write_text(json.dumps([[k] for k in range(20_000)]))
    assert read_table(path).shape == (20_000, 1)
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "1")
    with pytest.raises(UnusableInputError, match=r"would take \d+ MB of memory .* set LAYOUTBRIDGE_MEGABYTES=\d+$"):
        read_table(path)
