//! Who an account is when somebody else can change a directory above its root (finding B1), and
//! names that lead out of a directory (finding B2).

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use bulkhead_tests::harness::{Server, needs_root, test};
use ipc::root_path::{Exposure, Links, RootPathError, look};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_root("root_paths::b1_a_swapped_root_of_an_imported_account_lets_nobody_in", swapped),
        needs_root("root_paths::b1_an_identity_nobody_wrote_down_is_refused_in_a_home", derived),
        needs_root("root_paths::b1_anonymous_and_i2ftp_roots_in_a_home_are_refused", services),
        needs_root("root_paths::b1_parts_of_a_path_that_others_can_change_are_named", parts),
        needs_root("root_paths::b1_links_are_followed_where_only_root_can_make_them", links),
        test("root_paths::b2_a_name_that_leads_out_of_a_directory_makes_no_account", names),
        test("root_paths::b2_what_the_next_reader_refuses_is_not_written", hostile_lines),
        needs_root("root_paths::b14_a_root_that_is_no_directory_of_files_is_refused", unfit_roots),
    ]
}

/// The hash of "password".
const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
const MALLORY: u32 = 20_001;
const VICTIM: u32 = 20_002;

fn directory(path: &Path, owner: u32, mode: u32) -> PathBuf {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    chown(path, Some(owner), Some(owner)).unwrap();
    path.to_owned()
}

/// A home of mallory with a root in it, and the private home of somebody else.
struct Homes {
    root: PathBuf,
    secret: PathBuf,
}

impl Homes {
    fn make(server: &Server) -> Homes {
        let home = directory(&server.path("mallory"), MALLORY, 0o755);
        let root = directory(&home.join("ftp"), MALLORY, 0o755);
        let victim = directory(&server.path("victim"), VICTIM, 0o700);
        let secret = victim.join("secret");
        fs::write(&secret, "of the victim").unwrap();
        chown(&secret, Some(VICTIM), Some(VICTIM)).unwrap();
        fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        Homes { root, secret }
    }

    /// What mallory does: `rmdir ~/ftp; ln -s /home/victim ~/ftp`.
    fn swap(&self) {
        fs::remove_dir(&self.root).unwrap();
        symlink(self.secret.parent().unwrap(), &self.root).unwrap();
    }
}

/// The code of the answer to the password.
fn log_in(server: &Server, name: &str) -> u16 {
    let mut control = server.connect();
    control.command(&format!("USER {name}"), 331);
    control.send("PASS password");
    control.reply().unwrap().code
}

fn user_import(server: &Server, lines: &str, more: &[&str]) -> (bool, String) {
    server.write_configuration();
    let from = server.path("passwd");
    fs::write(&from, lines).unwrap();
    let arguments = [&["user", "import", from.to_str().unwrap()], more].concat();
    let done = server.bulkhead(&arguments);
    (done.status.success(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
}

fn write_accounts(server: &Server, text: &str) {
    let file = server.path("users.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
}

fn account_file(server: &Server) -> String {
    fs::read_to_string(server.path("users.toml")).unwrap_or_default()
}

fn swapped() {
    let server = Server::new();
    let homes = Homes::make(&server);
    let root = homes.root.to_str().unwrap();
    let (done, said) = user_import(&server, &format!("mallory:{HASH}\n"), &["--root", root]);
    assert!(done && said.contains("Took over 1 account."), "{said}");
    assert!(account_file(&server).contains(&format!("uid = {MALLORY}\ngid = {MALLORY}\n")));
    let server = server.run();
    assert_eq!(log_in(&server, "mallory"), 230);
    homes.swap();
    assert_ne!(log_in(&server, "mallory"), 230);
    let event = server.expect_event("session-failed", |_| true).to_string();
    assert!(event.contains("is a symbolic link"), "{event}");
    // Nor the directory itself, should he get it there.
    fs::remove_file(&homes.root).unwrap();
    directory(&homes.root, VICTIM, 0o755);
    assert_ne!(log_in(&server, "mallory"), 230);
    server.expect_event("session-failed", |event| {
        event.to_string().contains("belongs to uid 20002 and not to the account")
    });
    // At the time of the import it is too late to look: a link is not followed then.
    homes_are_not_followed(&server, &homes);
}

fn homes_are_not_followed(server: &Server, homes: &Homes) {
    fs::remove_dir(&homes.root).unwrap();
    symlink(homes.secret.parent().unwrap(), &homes.root).unwrap();
    let root = homes.root.to_str().unwrap();
    let (done, said) = user_import(server, &format!("late:{HASH}\n"), &["--root", root]);
    assert!(!done && said.contains("is a symbolic link"), "{said}");
    let added = server
        .bulkhead_with_input(&["user", "add", "late", "--root", root, "--password-stdin"], b"pw\n");
    assert!(!added.status.success(), "{added:?}");
    assert!(!account_file(server).contains("late"));
}

fn derived() {
    let server = Server::new();
    let homes = Homes::make(&server);
    let safe = directory(&server.path("safe"), MALLORY, 0o755);
    let password = format!("password = \"{HASH}\"");
    let text = format!(
        "[accounts.unsafe]\nroot = {:?}\n{password}\n[accounts.safe]\nroot = {safe:?}\n{password}\n\
         [accounts.written]\nroot = {:?}\n{password}\nuid = {MALLORY}\ngid = {MALLORY}\n",
        homes.root, homes.root
    );
    write_accounts(&server, &text);
    let server = server.run();
    assert_eq!(log_in(&server, "safe"), 230);
    assert_eq!(log_in(&server, "written"), 230);
    for why in ["somebody else than root can change", "is a symbolic link"] {
        assert_ne!(log_in(&server, "unsafe"), 230);
        server.expect_event("login-failed", |event| {
            let reason = event["reason"].as_str().unwrap();
            event["user"] == "unsafe" && reason.contains("unusable-account") && reason.contains(why)
        });
        let check = server.bulkhead(&["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        let line = said.lines().find(|line| line.contains("account unsafe")).unwrap();
        assert!(line.contains(why), "{said}");
        assert!(!said.contains("account safe"), "{said}");
        let swapped = fs::symlink_metadata(&homes.root).unwrap().is_symlink();
        let written = said.lines().any(|line| line.contains("account written"));
        assert_eq!(written, swapped, "{said}");
        if !swapped {
            homes.swap();
        }
    }
    let event = server.events("login-failed")[0].to_string();
    assert!(event.contains("user set NAME --uid"), "{event}");
}

fn services() {
    let server = Server::new();
    let homes = Homes::make(&server);
    let root = format!("{:?}", homes.root);
    let mut server = server
        .with("anonymous.enabled", "true")
        .with("anonymous.root", &root)
        .with("i2ftp.enabled", "true")
        .with("i2ftp.listen_port", "0")
        .with("i2ftp.key_hex", &format!("{:?}", "5e".repeat(31) + "01"))
        .with("i2ftp.root", &root);
    server.launch();
    assert_ne!(log_in(&server, "anonymous"), 230);
    let check = server.bulkhead(&["check"]);
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains("or name an `account` below [i2ftp]"), "{said}");
    assert_eq!(said.matches("somebody else than root").count(), 2, "{said}");
}

fn parts() {
    let server = Server::new();
    let scratch = server.scratch.path();
    let of = |path: &Path| look(path, Links::OfRoot).unwrap();
    let exposure = |directory: &Path, by| Exposure { directory: directory.to_owned(), by };
    let safe = directory(&scratch.join("safe"), 4001, 0o755);
    assert_eq!((of(&safe).owner, of(&safe).group), (4001, 4001));
    assert_eq!(of(&safe).exposed, []);
    // Beneath a home, in a directory of a group, and where everybody may write.
    directory(&safe.join("ftp"), 4001, 0o755);
    assert_eq!(of(&safe.join("ftp")).exposed, [exposure(&safe, Some(4001))]);
    assert!(
        of(&safe.join("ftp")).is_certain_for(4001) && !of(&safe.join("ftp")).is_certain_for(4002)
    );
    for (name, mode) in [("group", 0o775), ("all", 0o777)] {
        let open = directory(&scratch.join(name), 0, mode);
        directory(&open.join("ftp"), 4001, 0o755);
        assert_eq!(of(&open.join("ftp")).exposed, [exposure(&open, None)]);
    }
    // With the sticky bit everybody can replace his own, and nobody what is root's.
    let sticky = directory(&scratch.join("sticky"), 0, 0o1777);
    directory(&sticky.join("own"), 4001, 0o755);
    directory(&sticky.join("roots"), 0, 0o755);
    directory(&sticky.join("roots/ftp"), 4001, 0o755);
    assert_eq!(of(&sticky.join("own")).exposed, [exposure(&sticky, Some(4001))]);
    assert_eq!(of(&sticky.join("roots/ftp")).exposed, []);
    assert_eq!(of(&sticky.join("roots/../own")).exposed, [exposure(&sticky, Some(4001))]);
}

fn links() {
    let server = Server::new();
    let scratch = server.scratch.path();
    let data = directory(&scratch.join("data"), 4001, 0o755);
    let link = scratch.join("link");
    symlink("data", &link).unwrap();
    assert_eq!(look(&link, Links::OfRoot).unwrap().path, data);
    assert!(
        matches!(look(&link, Links::None), Err(RootPathError::AnyLink(found)) if found == link)
    );
    let home = directory(&scratch.join("home"), 4002, 0o755);
    let swapped = home.join("ftp");
    symlink(&data, &swapped).unwrap();
    assert!(matches!(
        look(&swapped, Links::OfRoot),
        Err(RootPathError::Link { link, directory }) if link == swapped && directory == home
    ));
    let sticky = directory(&scratch.join("sticky"), 0, 0o1777);
    let own = sticky.join("own");
    symlink(&data, &own).unwrap();
    std::os::unix::fs::lchown(&own, Some(4002), Some(4002)).unwrap();
    assert!(matches!(look(&own, Links::OfRoot), Err(RootPathError::Link { .. })));
    let round = scratch.join("round");
    symlink("round", &round).unwrap();
    assert!(matches!(look(&round, Links::OfRoot), Err(RootPathError::Unreachable { .. })));
}

fn names() {
    let server = Server::new();
    let inside = server.path("srv");
    fs::create_dir(&inside).unwrap();
    server.write_configuration();
    let root = inside.to_str().unwrap();
    let template = format!("{root}/{{name}}");
    for name in
        ["../../root/.ssh", "../home/victim", "bad/name", "..", ".ssh", "a\u{1b}[2J", "a\u{202e}b"]
    {
        let (done, said) = user_import(
            &server,
            &format!("{name}:{HASH}\n"),
            &["--root", &template, "--uid", "5", "--gid", "5"],
        );
        assert!(!done && said.contains("cannot be used"), "{name:?}: {said}");
        assert!(said.contains("passwd:1:") && !said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
        let added = server.bulkhead_with_input(
            &["user", "add", name, "--root", root, "--password-stdin"],
            b"pw\n",
        );
        let said = String::from_utf8(added.stderr).unwrap();
        assert!(!added.status.success() && said.contains("cannot be used"), "{name:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    }
    assert!(!account_file(&server).contains("[accounts"), "{}", account_file(&server));
}

/// Lines of a passwd file that would make the account file unusable for every other command.
fn hostile_lines() {
    let server = Server::new();
    let root = server.path("srv");
    fs::create_dir(&root).unwrap();
    let lines = format!(
        "al\u{1b}ice:{HASH}:5:5::{0}:\nbob:{HASH}:5:5::{0}/\u{1b}]0;x\u{7}:\ncarol:{HASH}:0:0::{0}:\n\
         dave:{HASH}:5:5::{0}:\n",
        root.display()
    );
    let (done, said) = user_import(&server, &lines, &[]);
    assert!(!done && !said.contains('\u{1b}'), "{said:?}");
    for number in 1..=3 {
        assert!(said.contains(&format!("passwd:{number}:")), "{said}");
    }
    assert!(said.contains("Took over 1 account."), "{said}");
    let list = server.bulkhead(&["user", "list"]);
    let listed = String::from_utf8(list.stdout).unwrap();
    assert!(list.status.success() && listed.contains("dave"), "{listed}");
}

fn unfit_roots() {
    let server = Server::new();
    server.write_configuration();
    for root in ["/", "/proc", "/proc/self/root", "/sys", "/dev/shm", "/usr/.."] {
        let arguments =
            ["user", "add", "x", "--root", root, "--uid", "5", "--gid", "5", "--password-stdin"];
        let added = server.bulkhead_with_input(&arguments, b"pw\n");
        let said = String::from_utf8(added.stderr).unwrap();
        let why = ["the whole host", "is the kernel's"];
        assert!(
            !added.status.success() && why.iter().any(|why| said.contains(why)),
            "{root}: {said}"
        );
    }
    assert!(!account_file(&server).contains("[accounts"));
}
