//! PHP's FTP functions.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::run;

const SCRIPT: &str = r#"
[$_, $host, $port, $user, $password, $own] = $argv;
$ftp = ftp_connect($host, (int) $port, 20);
function must($done) { if ($done === false) { fwrite(STDERR, "failed\n"); exit(1); } return $done; }
must($ftp);
must(ftp_login($ftp, $user, $password));
must(ftp_pasv($ftp, true));
must(ftp_mkdir($ftp, "a directory"));
must(ftp_chdir($ftp, "a directory"));
must(ftp_put($ftp, "up", "$own/source", FTP_BINARY));
must(ftp_append($ftp, "up", "$own/source", FTP_BINARY));
must(ftp_size($ftp, "up") === 200000);
must(ftp_mdtm($ftp, "up") > 0);
must(ftp_chmod($ftp, 0600, "up") === 0600);
must(ftp_rename($ftp, "up", "renamed"));
must(ftp_nlist($ftp, ".") === ["./renamed"]);
must(count(ftp_rawlist($ftp, ".")) === 1);
must(in_array("renamed", array_column(ftp_mlsd($ftp, "."), "name")));
must(ftp_get($ftp, "$own/got", "renamed", FTP_BINARY));
must(ftp_get($ftp, "$own/rest", "renamed", FTP_BINARY, 100000));
must(ftp_delete($ftp, "renamed"));
must(ftp_cdup($ftp));
must(ftp_rmdir($ftp, "a directory"));
must(@ftp_delete($ftp, "gone") === false ? true : false);
must(ftp_close($ftp));
"#;

pub fn functions(server: &Server) {
    let alice = server.account("alice");
    let own = server.path("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("source"), patterned(100_000)).unwrap();
    // A download that was begun, and is gone on with.
    std::fs::write(own.join("rest"), patterned(100_000)).unwrap();
    let address = server.address();
    let mut php = Command::new("php");
    php.args(["-r", SCRIPT, "--", &address.ip().to_string(), &address.port().to_string()]);
    run(php.args([&alice.name, &alice.password]).arg(&own));
    let twice = [patterned(100_000), patterned(100_000)].concat();
    assert!(std::fs::read(own.join("got")).unwrap() == twice);
    assert!(std::fs::read(own.join("rest")).unwrap() == twice);
    assert!(!alice.has("a directory"));
}
