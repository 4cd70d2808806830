from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.adb.messages import AUTH, CLSE, CNXN, OKAY, OPEN, SYNC, WRTE, Message, header
from devices.adb.multiplexer import WINDOW_BYTES, Multiplexer, Stream
from devices.errors import DeadlineExceeded, DevicesError, DeviceTrouble, LinkLost
from tests.devices.adb.wire import Peer, link_pair

MAX_PAYLOAD = 4096


@pytest.fixture
def pair() -> Iterator[tuple[Multiplexer, Peer]]:
    with link_pair() as (link, peer):
        connection = Multiplexer(link, "phone", frozenset(), MAX_PAYLOAD, checksums=False)
        yield connection, peer
        connection.close()
        assert not any(thread.is_alive() for thread in connection._threads)


@pytest.fixture
def connection(pair: tuple[Multiplexer, Peer]) -> Multiplexer:
    return pair[0]


@pytest.fixture
def peer(pair: tuple[Multiplexer, Peer]) -> Peer:
    return pair[1]


def opened(connection: Multiplexer, peer: Peer, remote: int = 77) -> Stream:
    """A stream that the phone calls by this number."""
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(connection.open, "service:", 10.0)
        asked = peer.get()
        assert (asked.command, asked.second, asked.payload) == (OPEN, 0, b"service:\0")
        peer.put(OKAY, remote, asked.first)
        return opening.result(10)


def quiet(peer: Peer) -> bool:
    """Whether the host has nothing to say."""
    try:
        peer.get(0.2)
    except TimeoutError:
        return True
    return False


class TestFlowControl:
    def test_one_message_waits_for_its_okay(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        stream.send(b"one", 1.0)
        assert peer.get() == Message(WRTE, stream.local, 77, b"one")
        with pytest.raises(DeadlineExceeded, match=r"phone took no more data within 0\.1 s"):
            stream.send(b"two", 0.1)
        assert quiet(peer)
        peer.put(OKAY, 77, stream.local)
        stream.send(b"three", 5.0)
        assert peer.get().payload == b"three"

    def test_long_data_are_cut_to_what_the_phone_takes(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        data = random.Random(1).randbytes(MAX_PAYLOAD * 3 + 5)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(stream.send, data, 10.0)
            got = b""
            while len(got) < len(data):
                message = peer.get()
                assert len(message.payload) <= MAX_PAYLOAD
                got += message.payload
                peer.put(OKAY, 77, stream.local)
            sending.result(10)
        assert got == data

    def test_every_message_is_answered_once(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        for payload in (b"one", b"", b"two"):
            peer.put(WRTE, 77, stream.local, payload)
            assert peer.get() == Message(OKAY, stream.local, 77)
        assert quiet(peer)
        assert [stream.recv(1.0), stream.recv(1.0)] == [b"one", b"two"]
        assert quiet(peer)

    def test_a_stream_that_nobody_reads_stops_its_sender_and_no_other(
        self, connection: Multiplexer, peer: Peer
    ) -> None:
        full, other = opened(connection, peer, 77), opened(connection, peer, 78)
        chunk, sent = bytes(1 << 18), 0
        while sent <= WINDOW_BYTES:
            peer.put(WRTE, 77, full.local, chunk)
            sent += len(chunk)
            if sent <= WINDOW_BYTES:
                assert peer.get() == Message(OKAY, full.local, 77)
        assert quiet(peer)
        peer.put(WRTE, 78, other.local, b"passes")
        assert peer.get() == Message(OKAY, other.local, 78)
        assert other.recv(1.0) == b"passes"
        assert full.recv(1.0) == chunk
        assert peer.get() == Message(OKAY, full.local, 77)
        assert quiet(peer)


class TestEnds:
    def test_what_came_before_the_end_can_still_be_read(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        peer.put(WRTE, 77, stream.local, b"last words")
        peer.put(CLSE, 77, stream.local)
        assert [peer.get().command, peer.get()] == [OKAY, Message(CLSE, stream.local, 77)]
        assert [stream.recv(1.0) for _ in range(3)] == [b"last words", b"", b""]
        stream.send(b"anybody?", 1.0)  # taken silently
        stream.close()
        stream.close()
        assert quiet(peer)

    def test_closing_tells_the_phone_once(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        peer.put(WRTE, 77, stream.local, b"unread")
        assert peer.get().command == OKAY
        stream.close()
        stream.close()
        assert peer.get() == Message(CLSE, stream.local, 77)
        peer.put(CLSE, 77, stream.local)  # adbd's answer
        assert quiet(peer)
        assert stream.recv(1.0) == b""
        stream.send(b"x", 1.0)

    def test_closing_wakes_who_waits(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        stream.send(b"x", 1.0)
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(stream.recv, 60.0), pool.submit(stream.send, b"y", 60.0)]
            time.sleep(0.1)
            stream.close()
            assert [each.result(10) for each in waiting] == [b"", None]

    @pytest.mark.parametrize("remote", [0, 77])
    def test_a_service_that_is_not_offered(self, connection: Multiplexer, peer: Peer, remote: int) -> None:
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(connection.open, "nonsense:7", 10.0)
            peer.put(CLSE, remote, peer.get().first)
            with pytest.raises(DeviceTrouble, match="phone does not offer nonsense"):
                opening.result(10)
        assert connection.alive

    def test_an_answer_that_comes_too_late_is_closed(self, connection: Multiplexer, peer: Peer) -> None:
        with pytest.raises(DeadlineExceeded, match=r"phone did not answer within 0\.1 s"):
            connection.open("slow:", 0.1)
        local = peer.get().first
        peer.put(OKAY, 77, local)
        assert peer.get() == Message(CLSE, local, 77)
        assert opened(connection, peer).local != local

    @pytest.mark.parametrize(
        ("message", "answer"),
        [
            (Message(WRTE, 5, 999, b"x"), Message(CLSE, 999, 5)),
            (Message(OKAY, 5, 999), Message(CLSE, 999, 5)),
            (Message(OPEN, 5, 0, b"tcp:1\0"), Message(CLSE, 0, 5)),
            (Message(CLSE, 5, 999), None),
            (Message(CLSE, 0, 999), None),
            (Message(SYNC, 1, 1), None),
        ],
    )
    def test_messages_for_streams_that_are_not(
        self, connection: Multiplexer, peer: Peer, message: Message, answer: Message | None
    ) -> None:
        stream = opened(connection, peer)
        peer.put(message.command, message.first, message.second, message.payload)
        assert quiet(peer) if answer is None else peer.get() == answer
        peer.put(CLSE, 12345, stream.local)  # another stream's number at the phone
        stream.send(b"still open", 5.0)
        assert peer.get().payload == b"still open"

    def test_a_command_that_is_too_long(self, connection: Multiplexer) -> None:
        with pytest.raises(DeviceTrouble, match=f"at most {MAX_PAYLOAD - 1} bytes"):
            connection.open("x" * MAX_PAYLOAD, 1.0)


class TestBreaks:
    @pytest.mark.parametrize(
        ("do", "why"),
        [
            (lambda peer, stream: peer.link.close(), "closed it"),
            (lambda peer, stream: peer.link.write(b"HTTP/1.1 400 Bad Request\r\n", b""), "does not speak"),
            (lambda peer, stream: peer.put(CNXN, 1, 1, b"device::"), "began anew"),
            (lambda peer, stream: peer.put(AUTH, 1, 0, bytes(20)), "began anew"),
            (lambda peer, stream: peer.link.write(header(WRTE, 1, 1, bytes(1 << 21), False), b""), "2097152"),
            (lambda peer, stream: peer.put(OKAY, 0, stream.local), "does not have"),
            (lambda peer, stream: peer.put(OKAY, 12345, stream.local), "does not have"),
            (lambda peer, stream: peer.put(WRTE, 12345, stream.local, b"x"), "out of turn"),
            (
                lambda peer, stream: [peer.put(WRTE, 77, stream.local, bytes(1 << 20)) for _ in range(3)],
                "turn",
            ),
        ],
    )
    def test_a_break_wakes_everybody(
        self, connection: Multiplexer, peer: Peer, do: Callable[[Peer, Stream], object], why: str
    ) -> None:
        reader, writer = opened(connection, peer, 77), opened(connection, peer, 78)
        writer.send(b"x", 1.0)

        def drain() -> None:
            while True:
                reader.recv(60.0)

        with ThreadPoolExecutor(3) as pool:
            waiting = [
                pool.submit(drain) if "turn" not in why else pool.submit(writer.recv, 60.0),
                pool.submit(writer.send, b"y", 60.0),
                pool.submit(connection.open, "service:", 60.0),
            ]
            assert {peer.get().command, peer.get().command} == {WRTE, OPEN}
            do(peer, reader)
            for each in waiting:
                with pytest.raises(LinkLost, match=f"the link to phone broke: .*{why}"):
                    each.result(10)
        assert not connection.alive
        for call in (lambda: connection.open("x:", 60.0), lambda: writer.recv(60.0)):
            with pytest.raises(LinkLost):
                call()
        reader.close()

    def test_data_that_came_before_the_break_are_not_lost(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        peer.put(WRTE, 77, stream.local, b"last words")
        assert peer.get().command == OKAY
        peer.link.close()
        assert stream.recv(10.0) == b"last words"
        with pytest.raises(LinkLost):
            stream.recv(10.0)

    def test_many_may_close_it_at_once(self) -> None:
        for _ in range(50):
            with link_pair() as (link, _):
                connection = Multiplexer(link, "phone", frozenset(), MAX_PAYLOAD, checksums=False)
                with ThreadPoolExecutor(4) as pool:
                    for done in [pool.submit(connection.close) for _ in range(4)]:
                        done.result(10)

    def test_closing_here_wakes_everybody(self, connection: Multiplexer, peer: Peer) -> None:
        stream = opened(connection, peer)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(stream.recv, 60.0)
            connection.close()
            connection.close()
            with pytest.raises(LinkLost, match="closed here"):
                waiting.result(10)

    @given(st.lists(st.tuples(st.sampled_from([OKAY, WRTE, CLSE, OPEN, SYNC, CNXN, 7]), st.integers(0, 3),
                              st.integers(0, 3), st.binary(max_size=9)), max_size=9))  # fmt: skip
    @settings(max_examples=60)
    def test_whatever_a_phone_sends_a_call_ends(self, said: list[tuple[int, int, int, bytes]]) -> None:
        with link_pair() as (link, peer):
            connection = Multiplexer(link, "phone", frozenset(), MAX_PAYLOAD, checksums=False)
            with ThreadPoolExecutor(1) as pool:
                opening = pool.submit(connection.open, "service:", 0.05)
                for message in said:
                    try:
                        peer.put(*message)
                    except OSError:
                        break
                try:
                    stream = opening.result(10)
                    while stream.recv(0.05):
                        pass
                except DevicesError:
                    pass
            connection.close()


class Echo(threading.Thread):
    """A phone that echoes every stream, in one thread: it reads nothing while it writes."""

    def __init__(self, peer: Peer, seed: int) -> None:
        super().__init__(daemon=True)
        self._peer = peer
        self._random = random.Random(seed)
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._serve()
        except (EOFError, OSError):
            pass
        except Exception as error:  # noqa: BLE001 - for the test to see
            self.failure = error

    def _serve(self) -> None:
        waiting: dict[int, list[bytes]] = {}  # by the host's number of the stream
        may_write: dict[int, bool] = {}
        while True:
            message = self._peer.get(60)
            ours = message.first + 1000
            if message.command == OPEN:
                waiting[message.first], may_write[message.first] = [], True
                self._peer.put(OKAY, ours, message.first)
            elif message.command == WRTE:
                assert len(message.payload) <= MAX_PAYLOAD
                waiting[message.first].append(message.payload)
                self._peer.put(OKAY, ours, message.first)
            elif message.command == OKAY:
                assert not may_write[message.first], "OKAY for nothing"
                may_write[message.first] = True
            elif message.command == CLSE and waiting.pop(message.first, None) is not None:
                self._peer.put(CLSE, ours, message.first)
            streams = [each for each in waiting if waiting[each] and may_write[each]]
            self._random.shuffle(streams)
            for theirs in streams:
                may_write[theirs] = False
                self._peer.put(WRTE, theirs + 1000, theirs, waiting[theirs].pop(0))


def test_many_streams_at_once_get_their_own_bytes(connection: Multiplexer, peer: Peer) -> None:
    echo = Echo(peer, seed=5)
    echo.start()

    def work(number: int) -> None:
        chooses = random.Random(number)
        for _ in range(4):
            stream = connection.open("echo:", 30.0)
            data = chooses.randbytes(chooses.choice([1, 5000, 300_000]))
            sender = threading.Thread(target=stream.send, args=(data, 60.0))
            sender.start()
            got = b""
            while len(got) < len(data):
                got += stream.recv(30.0)
            assert got == data
            sender.join()
            stream.close()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result(120)
    assert echo.failure is None
    assert not connection._streams


@pytest.mark.parametrize("flipped", [False, True])
def test_checksums_where_the_phone_wants_them(flipped: bool) -> None:
    with link_pair() as (link, peer):
        peer.checksums = True
        connection = Multiplexer(link, "phone", frozenset(), MAX_PAYLOAD, checksums=True)
        stream = opened(connection, peer)  # the peer checks, too
        stream.send(b"summed", 1.0)
        assert peer.get().payload == b"summed"
        head = header(WRTE, 77, stream.local, b"summed", True)
        peer.link.write(head, b"Summed" if flipped else b"summed")
        if flipped:
            with pytest.raises(LinkLost, match="do not add up"):
                stream.recv(5.0)
        else:
            assert stream.recv(5.0) == b"summed"
        connection.close()
