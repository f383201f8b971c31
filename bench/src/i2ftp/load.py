"""Moves a file with the Python client: load.py PORT KEY_HEX download|upload REMOTE LOCAL

Says "ready" when logged in, waits for a line, says "done" when the server has closed the transfer.
"""

import os
import sys
import time

import i2cylib.network
from i2cylib.network.I2TCP import Client

# i2cylib 1.13.18 and later no longer export the name that i2ftps imports.
i2cylib.network.Client = Client

from i2cylib.utils import Logger
from i2ftps.client import I2ftpClient

port, key, way, remote, local = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), *sys.argv[3:]
client = I2ftpClient("127.0.0.1", key, port, logger=Logger(echo=False))
state, text = client.connect()
assert state and not text, text
print("ready", flush=True)
sys.stdin.readline()
state, session = getattr(client, way)(remote)
assert state, session
if way == "download":
    session.to_file(local, verbose=False, close_session_when_finished=False)
else:
    # Its progress bar cannot be switched off; it goes to standard error.
    sys.stderr = open(os.devnull, "w")
    session.upload(local, close_session_when_finished=False)
# The reference refuses as long as its hash is not ready.
while not session.send_command(b"CLOZ," + session.session_id)[0]:
    time.sleep(0.01)
print("done", flush=True)
os._exit(0)
