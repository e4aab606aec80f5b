"""The guarded transport against real servers: what it dials, sends and takes, and for how long."""

import asyncio
import gzip
import logging
import socket
import ssl
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from receivers import BUSY, CUT, CUT_SHORT, DRIPPING, SLOW, Authority, Receiver, Reply, allowing, settings_for

from forwarding import transport
from forwarding.deliveries import Answer, Message, UndeliveredError
from forwarding.transport import ANSWER_BYTES, USER_AGENT, Transport
from funnelhouse.settings import Settings

CANARY = "canary-9c1d4b"
NAME = "receiver.example"
PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


def message(url: str, **changes: Any) -> Message:
    plain = Message("POST", url, {"content-type": "text/plain"}, b"a=1", "", "")
    return replace(plain, **changes)


def sent(settings: Settings, *messages: Message, trusted: ssl.SSLContext | None = None) -> list[Answer]:
    """What is answered to messages that one transport sends, one after another."""

    async def send() -> list[Answer]:
        async with Transport(settings, trusted) as sending:
            return [await sending.send(each) for each in messages]

    return asyncio.run(send())


def failure(settings: Settings, failing: Message, trusted: ssl.SSLContext | None = None) -> UndeliveredError:
    """How a message fails."""
    with pytest.raises(UndeliveredError) as failed:
        sent(settings, failing, trusted=trusted)
    return failed.value


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """All limits of time are shorter."""
    monkeypatch.setattr(transport, "CONNECT_S", 1.0)
    monkeypatch.setattr(transport, "TOTAL_S", 1.5)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What name servers say: of each name a list of answers, of which the last is repeated."""
    known: dict[str, list[list[str]]] = {}

    def getaddrinfo(host: str, port: Any, *_: object, **__: object) -> list[Any]:
        answers = known.get(str(host))
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, f"unknown: {host}")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port or 0, 0, 0) if ":" in address else (address, port or 0),
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


_dialled: list[Any] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _dialled is not None:
        address = arguments[1]
        _dialled.append(address[0])
        if not address[0].startswith("127.") and address[0] != "::1":
            raise ConnectionRefusedError("no test leaves this machine")


sys.addaudithook(_note)


@pytest.fixture
def dialled() -> Iterator[list[str]]:
    """All addresses to which sockets of this process are connected, as the interpreter tells auditors."""
    global _dialled
    _dialled = []
    yield _dialled
    _dialled = None


def test_a_request_says_who_sends_it_and_nothing_else(receiver: Receiver) -> None:
    said = {"Content-Type": "text/plain", "Host": "a.example", "User-Agent": "me", "Accept-Encoding": "gzip"}
    said |= {"Content-Length": "7", "X-Own": "own"}
    sent(settings_for(receiver), message(f"{receiver.url}/a/%2F?b=ü&c=%26", headers=said))
    (request,) = receiver.requests
    assert request.target == "/a/%2F?b=%C3%BC&c=%26" and request.body == b"a=1"
    assert request.headers == {
        "host": receiver.place,
        "user-agent": USER_AGENT,
        "accept-encoding": "identity",
        "content-type": "text/plain",
        "content-length": "3",
        "x-own": "own",
    }
    assert USER_AGENT.startswith("Funnelhouse/0.")


@pytest.mark.parametrize(
    ("suffix", "target"),
    [("", "/"), ("/", "/"), ("?a=1", "/?a=1"), ("?a=/b", "/?a=/b"), ("/a?b/c", "/a?b/c")],
)
def test_a_get_has_its_address_and_no_body(receiver: Receiver, suffix: str, target: str) -> None:
    sent(settings_for(receiver), message(f"{receiver.url}{suffix}", method="GET", headers={}, body=b""))
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("GET", target, b"")
    assert request.headers.keys() == {"host", "user-agent", "accept-encoding"}


def test_connections_are_kept_and_cookies_are_not(receiver: Receiver) -> None:
    receiver.fault = Reply(headers={"Set-Cookie": "a=1; Path=/", "X-Twice": "1"})
    first, _ = sent(settings_for(receiver), message(receiver.url), message(receiver.url))
    assert receiver.connections == 1
    assert "set-cookie" not in first.headers and first.headers["x-twice"] == "1"
    assert all("cookie" not in request.headers for request in receiver.requests)


def test_proxies_of_the_environment_are_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert sent(settings_for(receiver, proxy), message(receiver.url))[0].status == 200
        assert not proxy.requests


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers(receiver: Receiver, status: int) -> None:
    with Receiver() as inside:
        receiver.fault = Reply(status, headers={"Location": f"{inside.url}/inside"})
        assert sent(settings_for(receiver, inside), message(receiver.url))[0].status == status
        assert not inside.requests


def test_any_status_is_an_answer(receiver: Receiver) -> None:
    replies = [Reply(204), BUSY, Reply(500, b"<html>"), Reply(599), replace(BUSY, status=999)]
    receiver.faults.extend(replies)
    answers = sent(settings_for(receiver), *[message(receiver.url)] * len(replies))
    assert [answer.status for answer in answers] == [204, 429, 500, 599, 999]
    assert answers[1].headers["retry-after"] == "7" and answers[2].body == b"<html>"


@pytest.mark.parametrize(
    "reply",
    [SLOW, DRIPPING, replace(SLOW, status=500)],
    ids=["no answer", "a header a byte at a time", "late"],
)
def test_time_is_bounded(receiver: Receiver, hurried: None, reply: Reply) -> None:
    receiver.fault = reply
    failed = failure(settings_for(receiver), message(receiver.url))
    assert failed.code == "timeout" and not failed.is_permanent and failed.milliseconds >= 1400


def test_time_bounds_bodies_too(receiver: Receiver, hurried: None) -> None:
    """Its status came, and says what the receiver did."""
    receiver.fault = Reply(202, b"x" * 100_000, drip_s=0.005)
    (answer,) = sent(settings_for(receiver), message(receiver.url))
    assert answer.status == 202 and len(answer.body) < 1000


def test_a_body_that_is_cut_is_there_as_far_as_it_came(receiver: Receiver) -> None:
    receiver.fault = CUT_SHORT
    (answer,) = sent(settings_for(receiver), message(receiver.url))
    assert answer.status == 200 and 0 < len(answer.body) < 100


def test_no_answer_is_a_cut(receiver: Receiver) -> None:
    receiver.fault = CUT
    assert failure(settings_for(receiver), message(receiver.url)).code == "cut"
    receiver.fault = replace(CUT, cut_after=5)
    assert failure(settings_for(receiver), message(receiver.url)).code == "cut"


@pytest.fixture
def speaker() -> Iterator[Callable[[bytes], Settings]]:
    """`speaker(said)`: settings for a server that says something to whoever connects; see its `url`."""
    listening: list[socket.socket] = []

    def speak(said: bytes) -> Settings:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                connection.recv(65_536)
                connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        return allowing(f"127.0.0.1:{server.getsockname()[1]}")

    yield speak
    for server in listening:
        server.close()


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode(),
    ],
    ids=range(7),
)
def test_what_is_no_http_is_said_so(speaker: Callable[[bytes], Settings], said: bytes) -> None:
    settings = speaker(said)
    failed = failure(settings, message(f"http://{settings.forward_allow[0]}/"))
    assert failed.code == "protocol" and CANARY not in str(failed)


def test_much_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.fault = Reply(body=b"x" * 20_000_000)
    first, second = sent(settings_for(receiver), message(receiver.url), message(receiver.url))
    assert first.body == second.body == b"x" * ANSWER_BYTES
    # What is left of it would have to be read before the connection is good for another request.
    assert receiver.connections == 2


def test_chunks_without_end_are_not_read_to_it(speaker: Callable[[bytes], Settings]) -> None:
    settings = speaker(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10\r\nxxxxxxxxxxxxxxxx\r\n" * 100_000
    )
    assert sent(settings, message(f"http://{settings.forward_allow[0]}/"))[0].body == b"x" * ANSWER_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip"])
def test_a_small_answer_is_no_gigabyte(receiver: Receiver, encoding: str) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000) if "gzip" in encoding else zlib.compress(b"\0" * 50_000_000)
    receiver.faults.append(Reply(body=bomb, headers={"Content-Encoding": encoding}))
    assert sent(settings_for(receiver), message(receiver.url))[0].body == b"\0" * ANSWER_BYTES


def test_what_is_compressed_though_nobody_asked_is_read(receiver: Receiver) -> None:
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    replies = {
        "gzip": gzip.compress(b"well"),
        "deflate": zlib.compress(b"well"),
        "DEFLATE": raw.compress(b"well") + raw.flush(),
        "br": b"well",
        "x-gzip": b"well",
    }
    receiver.faults.extend(
        Reply(body=body, headers={"Content-Encoding": name}) for name, body in replies.items()
    )
    answers = sent(settings_for(receiver), *[message(receiver.url)] * len(replies))
    assert [answer.body for answer in answers] == [b"well"] * 5


def test_a_closed_port_refuses(receiver: Receiver) -> None:
    settings = settings_for(receiver)
    receiver.close()
    failed = failure(settings, message(receiver.url))
    assert failed.code == "refused" and not failed.is_permanent


def test_a_full_queue_is_a_timeout(hurried: None) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        place = f"127.0.0.1:{full.getsockname()[1]}"
        assert failure(allowing(place), message(f"http://{place}/")).code == "timeout"
        for each in waiting:
            each.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1/",
        "https://2130706433:8443/",
        "https://①②⑦.⓪.⓪.①/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://metadata.google.internal/",
        "ftp://a.example/",
        "https://a.example:22/",
        f"https://{CANARY}:{CANARY}@a.example/",
    ],
)
def test_forbidden_addresses_are_not_dialled(receiver: Receiver, dialled: list[str], url: str) -> None:
    failed = failure(Settings(), message(url.format(port=receiver.port)))
    assert failed.code == "forbidden_address" and failed.is_permanent and CANARY not in str(failed)
    assert not receiver.connections and not dialled


def test_no_name_no_request(names: dict[str, list[list[str]]]) -> None:
    assert failure(Settings(), message("https://nobody.example/")).code == "dns"


def test_a_silent_name_server_keeps_nobody_waiting(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_S", 3.0)
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30) and [])

    async def send() -> tuple[list[Any], Answer]:
        async with Transport(settings_for(receiver)) as sending:
            silent = [sending.send(message(f"https://silent-{n}.example/")) for n in range(50)]
            waiting = asyncio.gather(*silent, return_exceptions=True)
            await asyncio.sleep(0)
            answer = await sending.send(message(receiver.url))
            return await waiting, answer

    failed, answer = asyncio.run(send())
    answered.set()
    assert answer.status == 200
    assert {error.code for error in failed} == {"dns"}


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, PUBLIC_6, "fd00::1"],
        [*[f"93.184.215.{n}" for n in range(20)], "192.168.0.1"],
        ["fe80::1%lo"],
    ],
)
def test_a_name_of_which_any_address_is_inside_is_not_dialled(
    receiver: Receiver, names: dict[str, list[list[str]]], dialled: list[str], addresses: list[str]
) -> None:
    names["rebound.example"] = [addresses]
    settings = Settings(forward_ports=(receiver.port,))
    failed = failure(settings, message(f"https://rebound.example:{receiver.port}/"))
    assert failed.code == "forbidden_address" and not failed.is_permanent
    # Whoever defines destinations learns nothing of the network inside.
    assert not any(address in str(failed) for address in addresses)
    assert not dialled and not receiver.connections


def test_what_was_judged_is_what_is_dialled(
    receiver: Receiver, names: dict[str, list[list[str]]], dialled: list[str]
) -> None:
    """A name server that says something else when it is asked again."""
    names["rebound.example"] = [[PUBLIC], ["127.0.0.1"]]
    settings = Settings(forward_ports=(receiver.port,))
    failed = failure(settings, message(f"https://rebound.example:{receiver.port}/"))
    assert failed.code == "refused" and dialled == [PUBLIC]
    assert names["rebound.example"] == [["127.0.0.1"]]
    assert not receiver.connections


def test_each_connection_asks_once_and_keeps_what_it_was_told(
    names: dict[str, list[list[str]]], dialled: list[str]
) -> None:
    with Receiver() as first, Receiver(host="127.0.0.2", port=first.port) as second:
        names[NAME] = [["127.0.0.1"], ["127.0.0.2"]]
        settings = allowing(f"{NAME}:{first.port}")
        url = f"http://{NAME}:{first.port}/"
        sent(settings, message(url), message(url))
        assert dialled == ["127.0.0.1"] and len(first.requests) == 2 and not second.requests
        assert first.requests[0].headers["host"] == f"{NAME}:{first.port}"


def test_connections_made_at_a_time_share_an_answer(
    receiver: Receiver, names: dict[str, list[list[str]]]
) -> None:
    names[NAME] = [["127.0.0.1"], ["127.0.0.9"]]
    url = f"http://{NAME}:{receiver.port}/"

    async def send() -> list[Answer]:
        async with Transport(allowing(f"{NAME}:{receiver.port}")) as sending:
            return await asyncio.gather(*(sending.send(message(url)) for _ in range(5)))

    assert [answer.status for answer in asyncio.run(send())] == [200] * 5
    assert receiver.connections == 5


@pytest.mark.parametrize(
    "addresses",
    [["::1", "127.0.0.1"], ["127.0.0.3", "127.0.0.1"], ["127.0.0.3", "127.0.0.4", "::1", "127.0.0.1"]],
)
def test_the_next_address_is_tried_where_one_does_not_answer(
    receiver: Receiver, names: dict[str, list[list[str]]], dialled: list[str], addresses: list[str]
) -> None:
    names[NAME] = [addresses]
    settings = allowing(f"{NAME}:{receiver.port}")
    assert sent(settings, message(f"http://{NAME}:{receiver.port}/"))[0].status == 200
    assert dialled[-1] == "127.0.0.1" and set(dialled) <= set(addresses)


def test_an_address_of_six_is_dialled() -> None:
    with Receiver(host="::1") as receiver:
        assert sent(settings_for(receiver), message(receiver.url))[0].status == 200
        assert receiver.requests[0].headers["host"] == receiver.place == f"[::1]:{receiver.port}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_certificates_are_checked_for_the_name(
    authority: Authority, names: dict[str, list[list[str]]]
) -> None:
    names[NAME] = names["other.example"] = [["127.0.0.1"]]
    with Receiver(certificate=authority.certificate(NAME)) as receiver:
        settings = allowing(f"{NAME}:{receiver.port}", f"other.example:{receiver.port}")
        url = f"https://{NAME}:{receiver.port}/"
        answers = sent(settings, message(url), message(url), trusted=authority.trusted())
        assert [answer.status for answer in answers] == [200, 200]
        assert receiver.asked_for == [NAME] and receiver.connections == 1
        assert receiver.requests[0].headers["host"] == f"{NAME}:{receiver.port}"

        wrong = failure(settings, message(f"https://other.example:{receiver.port}/"), authority.trusted())
        assert wrong.code == "tls" and "Hostname mismatch" in str(wrong)
        # Nobody but the system's authorities is trusted unless a test says so.
        assert failure(settings, message(url)).code == "tls"
        assert len(receiver.requests) == 2


def test_certificates_of_addresses_are_checked_too(authority: Authority) -> None:
    with Receiver(certificate=authority.certificate("127.0.0.1")) as receiver:
        assert (
            sent(settings_for(receiver), message(receiver.url), trusted=authority.trusted())[0].status == 200
        )
    with Receiver(certificate=authority.certificate("127.0.0.2")) as receiver:
        assert failure(settings_for(receiver), message(receiver.url), authority.trusted()).code == "tls"


def test_old_certificates_are_none(authority: Authority) -> None:
    old = authority.certificate("127.0.0.1", lasts=timedelta(hours=-1))
    with Receiver(certificate=old) as receiver:
        failed = failure(settings_for(receiver), message(receiver.url), authority.trusted())
        assert failed.code == "tls" and "expired" in str(failed)


def test_who_speaks_no_tls_hears_nothing(receiver: Receiver, authority: Authority, hurried: None) -> None:
    url = f"https://{receiver.place}/{CANARY}"
    assert failure(settings_for(receiver), message(url)).code in ("tls", "cut", "timeout")
    assert not receiver.requests
    with Receiver(certificate=authority.certificate("127.0.0.1")) as secure:
        assert failure(settings_for(secure), message(f"http://{secure.place}/")).code in ("cut", "protocol")


def test_a_handshake_that_never_ends_is_a_timeout(hurried: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        assert failure(allowing(place), message(f"https://{place}/")).code == "timeout"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "ü", "a\x7fb"])
def test_headers_are_lines(receiver: Receiver, value: str) -> None:
    for headers in ({"x-own": f"{value}{CANARY}"}, {f"x-{value}": CANARY}):
        failed = failure(settings_for(receiver), message(receiver.url, headers=headers))
        assert failed.code == "invalid_message" and failed.is_permanent and CANARY not in str(failed)
    assert not receiver.requests


def test_a_slow_receiver_keeps_no_other_waiting(receiver: Receiver) -> None:
    with Receiver() as slow:
        slow.fault = SLOW

        async def send() -> Answer:
            async with Transport(settings_for(receiver, slow)) as sending:
                waiting = [asyncio.create_task(sending.send(message(slow.url))) for _ in range(70)]
                while slow.connections < 70:
                    await asyncio.sleep(0.01)
                answer = await sending.send(message(receiver.url))
                assert not any(task.done() for task in waiting)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
                # Whoever stops waiting leaves nothing behind.
                assert (await sending.send(message(receiver.url))).status == 200
                assert slow.connections == 70 and receiver.connections == 1
                return answer

        assert asyncio.run(send()).status == 200


def test_a_connection_that_ended_meanwhile_is_not_used(receiver: Receiver) -> None:
    receiver.fault = Reply(headers={"Connection": "close"})
    assert len(sent(settings_for(receiver), *[message(receiver.url)] * 3)) == 3
    assert receiver.connections == 3


def test_a_connection_that_ends_without_a_word_costs_no_try() -> None:
    """The server answers once, and ends the connection when something else comes."""
    heard: list[bytes] = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(65_536))
                    connection.sendall(b"HTTP/1.1 204 OK\r\n\r\n")
                    connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        place = f"127.0.0.1:{server.getsockname()[1]}"
        answers = sent(allowing(place), *[message(f"http://{place}/")] * 3)
        assert [answer.status for answer in answers] == [204] * 3 and len(heard) == 3


@pytest.mark.parametrize(
    "reply",
    [
        SLOW,
        CUT,
        replace(CUT, cut_after=3),
        Reply(500, CANARY.encode(), {"X-Echo": CANARY, "Location": f"/{CANARY}"}),
        Reply(200, headers={"Content-Length": CANARY}),
    ],
    ids=range(5),
)
def test_no_secret_stands_in_a_log_or_an_error(
    receiver: Receiver, hurried: None, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.fault = reply
    telling = message(
        f"{receiver.url}/{CANARY}?b={CANARY}",
        headers={"authorization": f"Bearer {CANARY}"},
        body=CANARY.encode(),
        secrets=(CANARY,),
        shown="***",
    )
    assert CANARY not in repr(telling) + str(telling)
    try:
        sent(settings_for(receiver), telling)
    except UndeliveredError as error:
        told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + repr(vars(error))
        assert CANARY not in told
    assert receiver.requests and CANARY not in caplog.text


def test_no_file_stays_open(receiver: Receiver) -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    receiver.fault = CUT
    for _ in range(3):
        failure(settings_for(receiver), message(receiver.url))
    before = files()
    for _ in range(5):
        failure(settings_for(receiver), message(receiver.url))
    deadline = time.monotonic() + 5
    while files() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert files() <= before
