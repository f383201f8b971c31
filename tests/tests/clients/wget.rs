//! wget: whole trees.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::{run, url};

pub fn tree(server: &Server) {
    let alice = server.account("alice");
    alice.make_directory("tree");
    alice.make_directory("tree/below");
    alice.put("tree/one", b"1");
    alice.put("tree/below/two", &patterned(50_000));
    let got = server.path("got");
    std::fs::create_dir(&got).unwrap();
    for mode in [&[][..], &["--no-passive-ftp"]] {
        let wget = || {
            let mut command = Command::new("wget");
            command.args(["--quiet", "--tries=1", "--timeout=20", "-nH"]).args(mode);
            command.arg("-P").arg(&got);
            command
        };
        run(wget().arg("--recursive").arg(url(server, alice, "tree/")));
        assert!(std::fs::read(got.join("tree/below/two")).unwrap() == patterned(50_000));
        assert_eq!(std::fs::read(got.join("tree/one")).unwrap(), b"1");
        // What was begun is gone on with.
        std::fs::write(got.join("two"), &patterned(50_000)[..20_000]).unwrap();
        run(wget().arg("--continue").arg(url(server, alice, "tree/below/two")));
        assert!(std::fs::read(got.join("two")).unwrap() == patterned(50_000));
        std::fs::remove_dir_all(got.join("tree")).unwrap();
    }
}
