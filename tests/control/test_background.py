"""A pipe that nobody reads holds nobody up."""

from __future__ import annotations

import os

from callgate.control.background import BackgroundStream


def test_lines_arrive_in_order() -> None:
    reader, writer = os.pipe()
    stream = BackgroundStream(writer)
    for number in range(100):
        stream.write(f"{number}\n")
    assert stream.drain(20)
    assert os.read(reader, 65536).split() == [str(number).encode() for number in range(100)]
    assert stream.take_lost() == 0
    os.close(writer)
    os.close(reader)


def test_a_full_pipe_costs_lines_and_no_time() -> None:
    reader, writer = os.pipe()
    stream = BackgroundStream(writer, lines=10)
    line = "x" * 65535 + "\n"
    # The pipe takes one, its thread some more, ten wait; the others are lost.
    for _ in range(100):
        stream.write(line)
    assert not stream.drain(0.05)
    got = 0
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while not stream.drain(0.005):
            got += len(pipe.read(1 << 20) or b"")
        os.close(writer)
        got += len(pipe.readall())
    lost = stream.take_lost()
    assert 0 < lost < 100
    assert got == (100 - lost) * len(line)


def test_a_reader_that_left() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = BackgroundStream(writer)
    stream.write("line\n")
    assert stream.drain(20)
    os.close(writer)
