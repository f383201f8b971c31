//! ncftp's three programs: trees each way, and listings.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::run;

pub fn trees() {
    let server = Server::start();
    let alice = server.account("alice");
    let (port, host) = (server.address().port().to_string(), server.address().ip().to_string());
    let login = ["-u", &alice.name, "-p", &alice.password, "-P", &port];
    for (way, active) in [("passive", "-F"), ("active", "-E")] {
        let program = |name: &str| {
            let mut command = Command::new(name);
            command.args(login).arg(active);
            command
        };
        alice.make_directory(way);
        alice.make_directory(&format!("{way}/below"));
        alice.put(&format!("{way}/below/file"), &patterned(100_000));
        let got = server.path(&format!("got-{way}"));
        std::fs::create_dir(&got).unwrap();
        run(program("ncftpget").arg("-R").arg(&host).arg(&got).arg(way));
        let file = got.join(way).join("below/file");
        assert!(std::fs::read(&file).unwrap() == patterned(100_000), "{way}");
        // A download that was cut off goes on, and so does an upload.
        std::fs::write(got.join("file"), &patterned(100_000)[..30_000]).unwrap();
        run(program("ncftpget").arg(&host).arg(&got).arg(format!("{way}/below/file")));
        assert!(std::fs::read(got.join("file")).unwrap() == patterned(100_000), "{way}");
        let tree = got.join("tree");
        std::fs::rename(got.join(way), &tree).unwrap();
        run(program("ncftpput").arg("-R").arg(&host).arg(format!("/{way}")).arg(&tree));
        assert!(alice.read(&format!("{way}/tree/below/file")) == patterned(100_000), "{way}");
        let url = format!("ftp://{host}/{way}/");
        let listed = run(program("ncftpls").arg("-1").arg(url));
        let listed = String::from_utf8(listed).unwrap();
        assert!(listed.contains("below") && listed.contains("tree"), "{listed}");
    }
}
