"""Runs ftputil's tests of a real server against a Bulkhead that runs already.

What the tests expect to find in the account's root is made first.
"""

import os
import pathlib

import ftputil.session
import pytest


def prepare(root):
    """What the comments of the tests call their preparation."""
    for directory in [
        "walk_test/dir1/dir11",
        "walk_test/dir1/dir12/dir123",
        "walk_test/dir2",
        "walk_test/dir3/dir31",
        "dir_with_broken_link",
        "dir with spaces/second dir",
        "äbc",
        "rootdir1",
        "rootdir2/dir2",
    ]:
        root.joinpath(directory).mkdir(parents=True)
    for file in [
        "walk_test/file4",
        "walk_test/dir1/dir12/file121",
        "walk_test/dir1/dir12/file122",
        "walk_test/dir1/dir12/dir123/file1234",
        "walk_test/dir3/file31",
        "walk_test/dir3/file32",
        "dir with spaces/some file",
        "dir with spaces/some_file",
        "dir with spaces/second dir/some file",
        "dir with spaces/second dir/some_file",
        "äbc/file1",
        "äbc/file1_ö",
        ".hidden",
    ]:
        root.joinpath(file).touch()
    root.joinpath("large_file").write_bytes(b"0123456789abcdef" * 65536 + b"the rest")
    root.joinpath("CONTENTS").write_bytes(b"a line\n" * 1000)
    root.joinpath("walk_test/dir3/dir32").symlink_to("../dir1/dir12/dir123")
    root.joinpath("dir_with_broken_link/nonexistent").symlink_to("../nonexistent/nonexistent")
    for directory in ["rootdir1", "rootdir2"]:
        root.joinpath(directory).chmod(0o555)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    module = items[0].module
    port = int(os.environ["BULKHEAD_PORT"])
    factory = ftputil.session.session_factory(port=port, encrypt_data_channel=False)
    module.DEFAULT_SESSION_FACTORY = factory
    module.PORT = port

    def setup_method(self, method):
        environment = os.environ
        self.login_data = (
            environment["BULKHEAD_HOST"],
            environment["BULKHEAD_USER"],
            environment["BULKHEAD_PASSWORD"],
        )
        self.host = ftputil.FTPHost(*self.login_data, session_factory=factory)
        self.host.set_time_shift(0.0)
        self.cleaner = module.Cleaner(self.host)

    module.RealFTPTest.setup_method = setup_method
    prepare(pathlib.Path(os.environ["BULKHEAD_ROOT"]))
