//! Every command of the server in transcripts: as it should be and as it should not, byte for byte.
//! A command that HELP names and no transcript succeeds or fails with is a failed test.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use bulkhead_tests::harness::{Answered, Server, Transcript, fits, needs_program, test};
use libtest_mimic::{Failed, Trial};

macro_rules! transcripts {
    ($($name:literal),* $(,)?) => {
        /// Each topic and its transcript.
        const TRANSCRIPTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../transcripts/", $name, ".txt")))),*];
    };
}

transcripts![
    "administrator",
    "data_connections",
    "directories",
    "files",
    "listings",
    "login",
    "parameters",
    "read_only",
    "second_factor",
    "server",
    "site",
    "sums",
    "tls",
    "transfers",
    "write_only",
];

/// What the server is to know, in the order of its plan: no more and no less.
const COMMANDS: &str = "USER PASS ACCT QUIT REIN CWD CDUP XCWD XCUP PWD XPWD MKD XMKD RMD XRMD \
     PORT PASV EPRT EPSV TYPE STRU MODE RETR STOR STOU APPE ALLO REST RNFR RNTO DELE \
     LIST NLST MLSD MLST SIZE MDTM MFMT MFF STAT ABOR FEAT OPTS HELP NOOP SYST HASH RANG \
     XCRC XMD5 XSHA XSHA1 XSHA256 XSHA512 AVBL CLNT HOST LANG SITE CSID \
     AUTH PBSZ PROT CCC ADAT MIC CONF ENC";
/// The same of SITE.
const SITE_COMMANDS: &str = "CHMOD UMASK IDLE UTIME SYMLINK HELP WHO";

/// Commands that nothing makes succeed: with TLS there is nothing for them to do (RFC 4217
/// sections 4 and 5).
const ALWAYS_REFUSED: [&str; 5] = ["CCC", "ADAT", "MIC", "CONF", "ENC"];
/// Commands that succeed only inside TLS, which a transcript does not speak: see [`inside_tls`].
const INSIDE_TLS: [&str; 2] = ["PBSZ", "PROT"];

pub fn tests() -> Vec<Trial> {
    let played = TRANSCRIPTS.iter().map(|&(name, text)| {
        Trial::test(format!("transcripts::{name}"), move || -> Result<(), Failed> {
            Transcript::read(name, text).play();
            Ok(())
        })
    });
    let mut tests: Vec<Trial> = played.collect();
    tests.push(test("transcripts::every_command_is_seen_to_succeed_and_to_fail", coverage));
    tests.push(needs_program(
        "transcripts::inside_tls_its_commands_succeed_and_fail",
        "openssl",
        inside_tls,
    ));
    tests.push(test("transcripts::a_transcript_is_read_as_it_is_written", reading));
    tests
}

fn coverage() {
    let answered: BTreeSet<Answered> = TRANSCRIPTS
        .iter()
        .flat_map(|(name, text)| Transcript::read(name, text).answered())
        .collect();
    let seen = |command: &str, positive: bool| {
        answered.contains(&Answered { command: command.to_owned(), positive })
    };
    let server = Server::start();
    let mut control = server.log_in("alice");
    let help = control.command("HELP", 214);
    let [_, names @ .., _] = help.lines.as_slice() else { panic!("{help:?}") };
    let mut commands: Vec<String> =
        names.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect();
    let site = control.command("SITE HELP", 214);
    commands.extend(site.lines.iter().filter_map(|line| {
        let name = line.trim_start().strip_prefix("SITE ")?.split(' ').next()?;
        Some(format!("SITE {name}"))
    }));
    let site_commands = SITE_COMMANDS.split_whitespace().map(|name| format!("SITE {name}"));
    let plan: BTreeSet<String> =
        COMMANDS.split_whitespace().map(str::to_owned).chain(site_commands).collect();
    assert_eq!(commands.iter().cloned().collect::<BTreeSet<_>>(), plan, "HELP and the plan");
    let mut missing = Vec::new();
    for command in &commands {
        let refused = ALWAYS_REFUSED.contains(&command.as_str());
        assert!(!(refused && seen(command, true)), "{command} succeeds, though it cannot");
        if !(refused || INSIDE_TLS.contains(&command.as_str()) || seen(command, true)) {
            missing.push(format!("{command} does not succeed"));
        }
        if !seen(command, false) {
            missing.push(format!("{command} does not fail"));
        }
    }
    assert!(missing.is_empty(), "in no transcript: {missing:?}");
    // The server says so itself: what HELP does not name is no command.
    let known = |answered: &Answered| commands.contains(&answered.command);
    let unknown: Vec<&Answered> =
        answered.iter().filter(|each| each.positive && !known(each)).collect();
    assert!(unknown.is_empty(), "HELP does not name {unknown:?}");
}

fn inside_tls() {
    let transcript = [
        ("USER alice", "331 Password, please."),
        ("PROT P", "503 PBSZ 0 first."),
        ("PBSZ x", "501 PBSZ needs a number; with TLS it is 0."),
        ("PASS alice-secret-1", "230 Logged in."),
        ("PROT P", "503 PBSZ 0 first."),
        ("PBSZ 4294967296", "501 PBSZ needs a number; with TLS it is 0."),
        ("PBSZ 0", "200 PBSZ=0"),
        ("PROT X", "504 PROT needs C or P."),
        ("PROT S", "536 Only PROT C and PROT P are possible with TLS."),
        ("PROT P", "200 Data connections are TLS."),
        ("PROT C", "200 Data connections are plain."),
        ("CCC", "534 The control connection stays TLS."),
        ("QUIT", "221 Goodbye."),
    ];
    let server = Server::new().with_account("alice", &[]).with_certificate().run();
    // It does AUTH TLS by itself, and then sends what it reads, in one piece.
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-crlf", "-starttls", "ftp", "-connect"])
        .arg(server.address().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines: String = transcript.iter().map(|(line, _)| format!("{line}\n")).collect();
    client.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let said = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
    let replies: Vec<&str> = said.split_terminator("\r\n").collect();
    let expected: Vec<&str> = transcript.iter().map(|(_, reply)| *reply).collect();
    // The last line of what was said in the clear may come before them.
    assert!(replies.ends_with(&expected), "{said}");
}

fn reading() {
    for (pattern, bytes, expected) in [
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("a*c", "abbc", true),
        ("a*c", "abb", false),
        ("*b*", "abc", true),
        ("a*bc*d", "abcbcd", true),
        ("a*", "a", true),
        ("a*a", "a", false),
        ("a?c", "abc", true),
        ("a?", "a", false),
    ] {
        assert_eq!(fits(pattern.as_bytes(), bytes.as_bytes()), expected, "{pattern} {bytes}");
    }
    let text = "C: RETR a\nS: 150 Opening.\nS: 426 Aborted.\nC: SITE IDLE x\nS: 501 No.\n";
    let answered = Transcript::read("text", text).answered();
    let counts = |command: &str, positive| {
        answered.contains(&Answered { command: command.to_owned(), positive })
    };
    assert!(counts("RETR", true) && !counts("RETR", false));
    assert!(counts("SITE IDLE", false) && counts("SITE", false) && !counts("SITE", true));
}
