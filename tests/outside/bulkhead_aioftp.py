"""Runs aioftp's tests of its client and its server together with a Bulkhead in the server's place.

The working directory is the account's root; it is emptied for each test.
"""

import os
import pathlib
import shutil

import aioftp
import async_timeout


class Running:
    """Stands for the server that each test would start."""

    def __init__(self, *arguments, **settings):
        self.server_host = os.environ["BULKHEAD_HOST"]
        self.server_port = int(os.environ["BULKHEAD_PORT"])

    async def start(self, *arguments, **settings):
        for path in pathlib.Path(".").iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    async def close(self):
        pass


async def login(self, user=os.environ["BULKHEAD_USER"], password=os.environ["BULKHEAD_PASSWORD"]):
    """As the client's own, with an account that is there instead of the anonymous one."""
    await LOGIN(self, user, password)


LOGIN = aioftp.Client.login
aioftp.Client.login = login
aioftp.Server = Running

# A test has a second, which is too little for a server of several processes on a busy machine.
TIMEOUT = async_timeout.timeout
async_timeout.timeout = lambda seconds: TIMEOUT(30 * seconds)
