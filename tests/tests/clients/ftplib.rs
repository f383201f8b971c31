//! Python's ftplib: scripts that talk to servers.

use std::process::Command;

use bulkhead_tests::harness::Server;

use super::run;

pub fn session(server: &Server) {
    const SCRIPT: &str = r#"
import ftplib, io, sys
host, port, user, password = sys.argv[1:5]
for passive in (True, False):
    ftp = ftplib.FTP(); ftp.connect(host, int(port), timeout=20); ftp.login(user, password)
    ftp.set_pasv(passive)
    data = bytes(range(256)) * 1000
    ftp.storbinary("STOR data", io.BytesIO(data))
    got = io.BytesIO(); ftp.retrbinary("RETR data", got.write); assert got.getvalue() == data
    got = io.BytesIO(); ftp.retrbinary("RETR data", got.write, rest=1000)
    assert got.getvalue() == data[1000:]
    ftp.storlines("STOR text", io.BytesIO(b"one\ntwo\n"))
    lines = []; ftp.retrlines("RETR text", lines.append); assert lines == ["one", "two"], lines
    ftp.voidcmd("TYPE I"); assert ftp.size("text") == 8
    assert sorted(ftp.nlst()) == ["data", "text"], ftp.nlst()
    facts = dict(ftp.mlsd()); assert facts["data"]["size"] == str(len(data)), facts
    ftp.mkd("d"); ftp.cwd("d"); assert ftp.pwd() == "/d"; ftp.cwd(".."); ftp.rmd("d")
    ftp.rename("data", "moved"); ftp.delete("moved"); ftp.delete("text")
    ftp.storbinary("STOR data", io.BytesIO(data))
    sock = ftp.transfercmd("RETR data"); sock.recv(10); sock.close()
    try: ftp.voidresp()
    except ftplib.error_temp: pass
    ftp.delete("data"); ftp.quit()
"#;
    let alice = server.account("alice");
    let address = server.address();
    run(Command::new("python3").args(["-c", SCRIPT]).args([
        &address.ip().to_string(),
        &address.port().to_string(),
        &alice.name,
        &alice.password,
    ]));
}
