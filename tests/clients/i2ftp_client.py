"""The real I2FTP client against a server under test: i2ftp_client.py PORT KEY_HEX ROOT SCRATCH LARGEST CLIENTS plain|tls

The client speaks bare TCP; with "tls" it goes through a tunnel that this program opens.

ROOT is the server's root as this machine sees it. Ends with status 0 and the word "passed", or with
a traceback.
"""

import hashlib
import os
import pathlib
import socket
import ssl
import sys
import threading

try:
    from i2cylib.network import Client  # noqa: F401
except ImportError:
    # i2cylib 1.13.18 and later no longer export the name that i2ftps imports.
    import i2cylib.network
    from i2cylib.network.I2TCP import Client

    i2cylib.network.Client = Client

from i2cylib.utils import Logger
from i2ftps.client import I2ftpClient

PORT, KEY = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
ROOT, SCRATCH = pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
CHUNK = 524128
LARGEST, CLIENTS = int(sys.argv[5]), int(sys.argv[6])
SIZES = [0, 1, CHUNK, CHUNK + 1, LARGEST]


def pump(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def tunnel(port):
    """A listener whose connections reach the server inside TLS, as stunnel would do it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


if sys.argv[7] == "tls":
    PORT = tunnel(PORT)


def connected():
    client = I2ftpClient("127.0.0.1", KEY, PORT, logger=Logger(echo=False), timeout=10)
    state, text = client.connect()
    assert state, text
    return client


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


def transfers(client):
    for size in SIZES:
        sent, got = made("sent", size), SCRATCH / "got"
        up(client, sent, f"up/{size}")
        assert digest(ROOT / "up" / str(size)) == digest(sent), f"{size} bytes arrived differently"
        down(client, f"up/{size}", got)
        assert digest(got) == digest(sent), f"{size} bytes came back differently"
        assert client.list("up")[1][str(size)]["size"] == size


def resume(client):
    """What the client offers of it: a byte by index, ranges from 0, and offsets of its own."""
    whole = (ROOT / "up" / str(CHUNK + 1)).read_bytes()
    session = granted(client.download(f"up/{CHUNK + 1}"))
    assert session[CHUNK] == whole[CHUNK:]
    session.close()
    command = b"PULF,up/resumed"
    identity = granted(client.send_command(command))
    for offset in (0, 300_000):
        data = whole[offset : offset + 300_000]
        where = offset.to_bytes(8, "little")
        granted(client.send_command(b"UPLD," + identity + b"," + where + b"," + data))
        client.disconnect()
        client.connect()
    granted(client.send_command(b"CLOZ," + identity))
    assert (ROOT / "up" / "resumed").read_bytes() == whole[: min(600_000, len(whole))]


def operations(client):
    made("small", 1000)
    up(client, SCRATCH / "small", "a.txt")
    granted(client.mkdir("made/deep"))
    granted(client.copy("a.txt", "made/copy.txt"))
    granted(client.move("made/copy.txt", "made/deep/moved.txt"))
    granted(client.rename("made/deep/moved.txt", "renamed.txt"))
    assert digest(ROOT / "renamed.txt") == digest(SCRATCH / "small")
    granted(client.copy("made", "made2"))
    granted(client.remove("made"))
    granted(client.remove("renamed.txt"))
    assert not (ROOT / "made").exists() and (ROOT / "made2" / "deep").is_dir()
    for path in ("../x", "/etc/passwd", "out/x", ""):
        refused(client.list(path))
        refused(client.remove(path))
        refused(client.send_command(b"GETF," + path.encode()))
        refused(client.send_command(b"PULF," + path.encode()))


def many():
    """Many clients at once."""
    names, failures = list(range(CLIENTS)), []

    def one(number):
        try:
            client = connected()
            local = made(f"many-{number}", 200_000 + number)
            up(client, local, f"many/{number}")
            down(client, f"many/{number}", SCRATCH / f"many-got-{number}")
            assert digest(local) == digest(SCRATCH / f"many-got-{number}")
        except BaseException as failure:  # a thread's failure is the test's
            failures.append((number, repr(failure)))

    threads = [threading.Thread(target=one, args=(number,)) for number in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def main():
    client = connected()
    transfers(client)
    operations(client)
    resume(client)
    many()
    print("passed", flush=True)


try:
    main()
except BaseException:
    import traceback

    traceback.print_exc()
    os._exit(1)
# The client's threads wait for their time-outs; nothing of that is tested.
os._exit(0)
