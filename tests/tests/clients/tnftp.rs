//! tnftp, the `ftp` of the BSDs.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::{run, url};

pub fn get_and_put(server: &Server) {
    let alice = server.account("alice");
    let got = server.path("got");
    for (way, mode) in [("passive", "-p"), ("active", "-A")] {
        alice.put("file", &patterned(100_000));
        run(Command::new("tnftp").arg(mode).arg("-o").arg(&got).arg(url(server, alice, "file")));
        assert!(std::fs::read(&got).unwrap() == patterned(100_000), "{way}");
        let up = url(server, alice, way);
        run(Command::new("tnftp").arg(mode).arg("-u").arg(up).arg(&got));
        assert!(alice.read(way) == patterned(100_000), "{way}");
    }
}
