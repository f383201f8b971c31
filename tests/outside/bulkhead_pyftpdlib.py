"""Runs pyftpdlib's functional tests against a Bulkhead that runs already.

The tests make files in their working directory, which is the account's root, and look at them there.
"""

import ftplib
import os
import threading

import pytest
import tests
from pyftpdlib.handlers import FTPHandler


class Running:
    """Stands for the server that each test would start."""

    handler = FTPHandler

    def __init__(self, addr=None):
        self.host = os.environ["BULKHEAD_HOST"]
        self.port = int(os.environ["BULKHEAD_PORT"])
        self.lock = threading.Lock()

    def start(self):
        pass

    def stop(self):
        pass


def raises(expected, *arguments, match=None, **others):
    """As pytest's own, but of a refusal only the kind is compared (4yz or 5yz): its words, and which of
    the codes it takes, are each server's own."""
    if expected in (ftplib.error_perm, ftplib.error_temp):
        match = None
    return RAISES(expected, *arguments, match=match, **others)


RAISES = pytest.raises
pytest.raises = raises
tests.FtpdThreadWrapper = Running
tests.USER = os.environ["BULKHEAD_USER"]
tests.PASSWD = os.environ["BULKHEAD_PASSWORD"]
