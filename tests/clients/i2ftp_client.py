"""The real I2FTP client against a server under test.

    i2ftp_client.py everything PORT KEY_HEX ROOT SCRATCH LARGEST CLIENTS TRIES
    i2ftp_client.py one-of-many PORT KEY_HEX ROOT SCRATCH NUMBER
    i2ftp_client.py read-only PORT KEY_HEX ROOT SCRATCH

ROOT is the server's root as this machine sees it. Ends with status 0 and the word "passed", or with
a traceback. The client is used as its users use it; nothing of it is changed.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import threading
import time
import traceback

try:
    from i2cylib.network import Client  # noqa: F401
except ImportError:
    # i2cylib 1.13.18 and later no longer export the name that i2ftps imports.
    import i2cylib.network
    from i2cylib.network.I2TCP import Client

    i2cylib.network.Client = Client

from i2cylib.utils import Logger
from i2ftps.client import I2ftpClient

TASK, PORT, KEY = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
ROOT, SCRATCH = pathlib.Path(sys.argv[4]), pathlib.Path(sys.argv[5])
CHUNK = 524128
# Clients that nobody needs any more. One that is destroyed waits for its time-out.
KEPT = []


def connected():
    client = I2ftpClient("127.0.0.1", KEY, PORT, logger=Logger(echo=False), timeout=15)
    KEPT.append(client)
    state, text = client.connect()
    assert state and not text, text
    return client


def interrupted(client):
    """Another client, while the one whose transfer ends here waits for its time-out."""
    threading.Thread(target=client.disconnect, daemon=True).start()
    return connected()


def made(name, size):
    path = SCRATCH / name
    block = os.urandom(min(size, 1 << 20))
    with open(path, "wb") as file:
        for at in range(0, size, 1 << 20):
            file.write(block[: size - at])
    return path


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def granted(answer):
    state, data = answer
    assert state, data
    return data


def refused(answer):
    state, text = answer
    assert not state, text
    return text


def up(client, local, remote):
    session = granted(client.upload(remote))
    size = os.path.getsize(local)
    if size == 0:
        # The client cannot upload nothing; announcing and closing makes the empty file.
        granted(session.close())
    else:
        # With fewer than seven chunks the client's default raises behind the last of them.
        ahead = 5 if size > 7 * CHUNK else 0
        session.upload(str(local), pre_upload_size=ahead, close_session_when_finished=False)
        assert session.verify(close_when_finished=False), "the server has another MD5"
        granted(session.close())


def down(client, remote, local):
    session = granted(client.download(remote))
    state, same = session.to_file(str(local), verbose=False)
    assert state
    # Of an empty file the client takes the reply to DOWN for that to CLOZ.
    assert same or len(session) == 0, "the server has another MD5"


def transfers(client, largest):
    sizes = [0, 1, CHUNK, CHUNK + 1, largest]
    for size in sizes:
        sent, got = made("sent", size), SCRATCH / "got"
        up(client, sent, f"up/{size}")
        assert digest(ROOT / "up" / str(size)) == digest(sent), f"{size} bytes arrived differently"
        down(client, f"up/{size}", got)
        assert digest(got) == digest(sent), f"{size} bytes came back differently"
        sent.unlink(), got.unlink()
    listed = granted(client.list("up"))
    assert {name: of["size"] for name, of in listed.items()} == {str(s): s for s in sizes}
    assert granted(client.list("."))["up"]["is_dir"]


def resume(client):
    """What the client offers of it: a byte by index, ranges from 0, and offsets of its own."""
    whole = (ROOT / "up" / str(CHUNK + 1)).read_bytes()
    session = granted(client.download(f"up/{CHUNK + 1}"))
    assert session[CHUNK] == whole[CHUNK:]
    session.close()
    identity = granted(client.send_command(f"GETF,up/{CHUNK + 1}".encode()))
    got = b""
    for start in (0, 200_000, 400_000):
        # An interrupted download goes on where it ended, on another connection.
        client = interrupted(client)
        end = min(start + 200_000, len(whole))
        span = start.to_bytes(8, "little") + b"," + end.to_bytes(8, "little")
        got += granted(client.send_command(b"DOWN," + identity + b"," + span))[9:]
    assert got == whole
    assert granted(client.send_command(b"CLOZ," + identity)).decode() == hashlib.md5(whole).hexdigest()
    identity = granted(client.send_command(b"PULF,up/resumed"))
    for start in (0, 300_000):
        data = whole[start : start + 300_000]
        where = start.to_bytes(8, "little")
        granted(client.send_command(b"UPLD," + identity + b"," + where + b"," + data))
        client = interrupted(client)
    granted(client.send_command(b"CLOZ," + identity))
    assert (ROOT / "up" / "resumed").read_bytes() == whole


def operations(client):
    up(client, made("small", 1000), "a.txt")
    granted(client.mkdir("made/deep"))
    granted(client.copy("a.txt", "made/copy.txt"))
    granted(client.move("made/copy.txt", "made/deep/moved.txt"))
    granted(client.rename("made/deep/moved.txt", "renamed.txt"))
    assert digest(ROOT / "renamed.txt") == digest(SCRATCH / "small")
    granted(client.copy("made", "made2"))
    granted(client.remove("made"))
    granted(client.remove("renamed.txt"))
    assert not (ROOT / "made").exists() and (ROOT / "made2" / "deep").is_dir()


def escapes(client):
    """`out` is a symbolic link to /etc."""
    for path in ("../x", "..", "made2/../../x", "/etc/passwd", "out/passwd", ""):
        for answer in (
            client.list(path),
            client.download(path),
            client.upload(path),
            client.remove(path),
            client.mkdir(path),
            client.copy(path, "stolen"),
            client.copy("a.txt", path),
            client.move("a.txt", path),
            client.rename("a.txt", path),
        ):
            refused(answer)
    refused(client.download("out"))
    assert not (ROOT / "stolen").exists() and (ROOT / "a.txt").exists()


def many(count, tries):
    """Many clients at once, each a program of its own.

    In secured mode they may try again: the client turns its decoder on in another thread than the
    one that receives, and on a busy machine a greeting is sometimes faster. Then the client takes
    it for another version, and may hang.
    """
    arguments = [sys.executable, *sys.orig_argv[1:-8], "one-of-many", *sys.argv[2:6]]
    left = list(range(count))
    while left and tries:
        programs = [(number, subprocess.Popen([*arguments, str(number)])) for number in left]
        deadline = time.monotonic() + 90
        left = [number for number, program in programs if not succeeds(program, deadline)]
        tries -= 1
    assert not left, f"clients {left} of {count} failed"


def succeeds(program, deadline):
    try:
        return program.wait(max(0, deadline - time.monotonic())) == 0
    except subprocess.TimeoutExpired:
        program.kill()
        return False


def one_of_many(number):
    client = connected()
    local, got = made(f"many-{number}", 200_000 + number), SCRATCH / f"many-got-{number}"
    up(client, local, f"many/{number}")
    down(client, f"many/{number}", got)
    assert digest(local) == digest(got)


def everything(largest, clients, tries):
    client = connected()
    transfers(client, largest)
    operations(client)
    escapes(client)
    resume(connected())
    many(clients, tries)


def read_only():
    client = connected()
    before = sorted(os.listdir(ROOT))
    assert granted(client.list("."))["a.txt"]["size"] == 5
    down(client, "a.txt", SCRATCH / "got")
    assert (SCRATCH / "got").read_bytes() == b"hello"
    for answer in (
        client.upload("new"),
        client.upload("a.txt"),
        client.rename("a.txt", "b.txt"),
        client.move("a.txt", "b.txt"),
        client.copy("a.txt", "b.txt"),
        client.remove("a.txt"),
        client.mkdir("directory"),
    ):
        assert "read-only" in refused(answer)
    assert sorted(os.listdir(ROOT)) == before and (ROOT / "a.txt").read_bytes() == b"hello"


try:
    if TASK == "everything":
        everything(*map(int, sys.argv[6:]))
    elif TASK == "one-of-many":
        one_of_many(int(sys.argv[6]))
    elif TASK == "read-only":
        read_only()
    else:
        raise ValueError(TASK)
    print("passed", flush=True)
except BaseException:
    traceback.print_exc()
    os._exit(1)
# The client's threads wait for their time-outs; nothing of that is tested.
os._exit(0)
