//! Node, by basic-ftp: plain, and over both versions of TLS with sessions that must be resumed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bulkhead_tests::harness::{Server, patterned};

use super::run;

/// Where xtask installs basic-ftp.
pub fn modules() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/node-client/node_modules"))
}

const SCRIPT: &str = include_str!("../../clients/node_client.js");

pub fn every_protection() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    for version in ["", "TLSv1.2", "TLSv1.3"] {
        let own = server.path(&format!("own{version}"));
        std::fs::create_dir_all(own.join("tree/below")).unwrap();
        for file in ["source", "tree/file", "tree/below/file"] {
            std::fs::write(own.join(file), patterned(100_000)).unwrap();
        }
        client(&server, &own, version);
        assert!(std::fs::read(own.join("got")).unwrap().len() == 200_000);
        assert!(std::fs::read(own.join("again/below/file")).unwrap() == patterned(100_000));
        assert!(!server.account("alice").has("tree"), "{version}");
    }
}

fn client(server: &Server, own: &Path, version: &str) {
    let alice = server.account("alice");
    let address = server.address();
    let script = own.join("client.js");
    std::fs::write(&script, SCRIPT).unwrap();
    let mut node = Command::new("env");
    node.arg(format!("NODE_PATH={}", modules().display())).arg("node").arg(&script);
    node.args([&address.ip().to_string(), &address.port().to_string()]);
    run(node.args([&alice.name, &alice.password]).arg(own).arg(version));
}
