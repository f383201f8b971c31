//! Every key there is: one line of data each. The reader, the "did you mean", the defaults and the
//! generated documentation come from this table and from nothing else.

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number of seconds; 0 = no limit.
    Seconds,
    /// A whole number; 0 = no limit.
    Count,
    /// A whole number of at least 1.
    AtLeastOne,
    /// Bytes, or bytes per second; 0 = no limit.
    Bytes,
    /// A whole number of at most so much.
    UpTo(u64),
    /// A TCP port; 0 = chosen by the system, or off where the text says so.
    Port,
    /// `true` or `false`.
    Flag,
    /// Text.
    Text,
    /// A path; relative ones count from the configuration's directory.
    Path,
    /// A path, or a list of paths.
    Paths,
    /// A list of texts.
    Texts,
    /// An address or a list of addresses.
    Addresses,
    /// A list of address blocks.
    Networks,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words.
    ListOf(&'static [&'static str]),
    /// `first-last`.
    Ports,
    /// Permission bits in octal.
    Umask,
    /// A name or an address, or a list of `{ network, address }`.
    PerNetwork,
    /// Bytes in hexadecimal.
    HexKey,
}

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its table; empty for the flat keys.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its default as TOML, or nothing when it has none.
    pub default: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
    /// A value as an example, as TOML.
    pub example: &'static str,
}

const fn key(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
    example: &'static str,
) -> Key {
    Key { table, name, kind, default: Some(default), doc, example }
}

const fn unset(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    example: &'static str,
) -> Key {
    Key { table, name, kind, default: None, doc, example }
}

/// The key of a table and a name.
pub fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.table == table && key.name == name)
}

/// The tables, in order of first appearance; the flat keys' empty name is not among them.
pub fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&str> =
        KEYS.iter().map(|key| key.table).filter(|table| !table.is_empty()).collect();
    tables.dedup();
    tables
}

use Kind::{
    Addresses, AtLeastOne, Bytes, Count, Flag, HexKey, ListOf, Networks, OneOf, Path, Paths,
    PerNetwork, Port, Ports, Seconds, Text, Texts, Umask, UpTo,
};

/// Words of `[tls] require`, loosest first.
pub const TLS_DEMANDS: &[&str] = &["none", "control", "control+data"];

/// Every key, table by table.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("", "listen_address", Addresses, "\"127.0.0.1\"", "Address to listen on, IPv4 or IPv6, or a list of several. \"::\" takes IPv6 only; for both write both.", "[\"0.0.0.0\", \"::\"]"),
    key("", "listen_port", Port, "21", "Port of the control connection; 0 lets the system choose one (for tests).", "2121"),
    key("", "accept_timeout", Seconds, "600", "Seconds to wait for the client on a passive data connection; 0 = no limit.", "30"),
    key("", "connect_timeout", Seconds, "300", "Seconds to wait for an active data connection to come up; 0 = no limit.", "30"),
    key("", "maximum_clients", Count, "2000", "Most connections at a time; more get 421. 0 = no limit.", "500"),
    key("", "max_conns_per_ip", Count, "50", "Most connections at a time from one address (IPv6: one /64); more get 421. 0 = no limit.", "10"),
    key("", "max_upload_rate", Bytes, "0", "Bytes per second a session may upload; 0 = no limit.", "8192000"),
    key("", "max_download_rate", Bytes, "0", "Bytes per second a session may download; 0 = no limit.", "4096000"),
    key("", "idle_ctrl_timeout", Seconds, "300", "Seconds without a command, while no data moves, until a session ends; 0 = no limit.", "900"),
    key("", "idle_data_timeout", Seconds, "300", "Seconds without a byte on a data connection until its transfer is given up; 0 = no limit.", "60"),
    key("", "local_umask", Umask, "\"077\"", "Mode bits that new files and directories do not get, in octal: \"077\", \"77\" or 0o077.", "\"027\""),
    key("", "banner", Text, "\"Bulkhead ready.\"", "Text of the greeting (220).", "\"Files of Example Ltd.\""),
    key("", "welcome", Text, "\"Logged in.\"", "Text of the reply to a login (230).", "\"Welcome.\""),
    key("", "uploads", OneOf(&["in-place", "atomic"]), "\"in-place\"", "How uploads reach their place: written there, or to a hidden temporary that is renamed when complete, so that an upload that fails keeps the old file. APPE, and STOR behind REST, then copy what is there first, so the account needs read and overwrite for them. What a killed session leaves behind (`.bulkhead-…`) is deleted at the next upload to its directory.", "\"atomic\""),
    key("", "sync_uploads", Flag, "false", "Whether an upload is synced to disk before it is reported as complete.", "true"),
    key("", "active_from_port_20", Flag, "true", "Whether active data connections come from port 20, where the helper may bind it.", "false"),
    key("", "shutdown_grace", Seconds, "30", "Seconds running transfers get to finish when the server is told to stop.", "300"),
    key("", "control_socket", Path, "\"/run/bulkhead/control.sock\"", "The socket of `bulkhead status`, `sessions`, `kick` and the other operator commands.", "\"/run/bulkhead/control.sock\""),
    unset("", "admin_group", Text, "Group whose members may use the control socket, besides root.", "\"adm\""),
    key("", "state_directory", Path, "\"/var/lib/bulkhead\"", "Where used one-time codes and TLS ticket state are remembered.", "\"/var/lib/bulkhead\""),

    key("passive", "ports", Ports, "\"50000-51000\"", "Ports of passive data connections, first-last; \"0-0\" lets the system choose.", "\"50000-50100\""),
    unset("passive", "address", PerNetwork, "What PASV announces instead of the local address, for a server behind NAT: an address or name, or a list by the client's network.", "[{ network = \"10.0.0.0/8\", address = \"10.0.0.5\" }, { network = \"0.0.0.0/0\", address = \"ftp.example.net\" }]"),

    key("auth", "backends", ListOf(&["file", "pam"]), "[\"file\"]", "Where accounts are looked up, in this order.", "[\"file\", \"pam\"]"),
    key("auth", "users_file", Path, "\"/etc/bulkhead/users.toml\"", "The account file, managed by `bulkhead user`.", "\"/etc/bulkhead/users.toml\""),
    key("auth", "pam_service", Text, "\"bulkhead\"", "Name of the PAM service (a file in /etc/pam.d).", "\"bulkhead\""),
    key("auth", "allow_groups", Texts, "[]", "PAM: groups whose members may log in; empty: everybody.", "[\"ftpusers\"]"),
    key("auth", "allow_users", Texts, "[]", "Names that alone may log in, whichever backend knows them; empty: everybody. `deny_users` counts first. Anonymous login is no such name.", "[\"alice\", \"bob\"]"),
    key("auth", "deny_users", Texts, "[\"root\"]", "Names that may not log in, whichever backend knows them.", "[\"root\", \"backup\"]"),
    key("auth", "minimum_uid", UpTo(u32::MAX as u64), "1000", "PAM: the smallest uid that may log in. uid 0 never may.", "500"),
    key("auth", "valid_shell", Flag, "true", "PAM: whether the shell must be listed in /etc/shells.", "false"),
    key("auth", "pam_session", Flag, "false", "PAM: whether the stack's session modules are run when a user logs in and when he has gone.", "true"),
    key("auth", "pam_rights", ListOf(&["list", "read", "write", "append", "overwrite", "delete", "rename", "mkdir", "rmdir", "chmod", "symlink"]), "[\"list\", \"read\", \"write\", \"append\", \"overwrite\", \"delete\", \"rename\", \"mkdir\", \"rmdir\", \"chmod\"]", "PAM: what its users may do beneath their home directory.", "[\"list\", \"read\"]"),
    key("auth", "max_attempts", AtLeastOne, "3", "Failed logins on one connection until it is closed.", "5"),
    key("auth", "failure_delay", UpTo(60_000), "1000", "Milliseconds until a failed login is answered; no process waits meanwhile.", "2000"),
    key("auth", "max_authenticators", AtLeastOne, "8", "Most login attempts that are judged at the same time; the rest wait in order. One that takes longer than 3 s makes room for the next.", "16"),
    key("auth", "timeout", AtLeastOne, "30", "Seconds one attempt may take, for PAM modules that hang.", "60"),

    key("anonymous", "enabled", Flag, "false", "Whether `anonymous` and `ftp` may log in without a password, read-only.", "true"),
    unset("anonymous", "root", Path, "Directory anonymous clients see as `/`. Required when enabled.", "\"/srv/ftp\""),

    unset("tls", "certificate", Paths, "Certificate chain in PEM, leaf first, or a list of them (chosen by SNI). TLS is on when this is set. Files that change are loaded within seconds, and nobody is dropped.", "\"/etc/bulkhead/tls/fullchain.pem\""),
    unset("tls", "private_key", Paths, "Private key in PEM, or a list in the order of `certificate`.", "\"/etc/bulkhead/tls/privkey.pem\""),
    key("tls", "require", OneOf(TLS_DEMANDS), "\"none\"", "What must be TLS: nothing, the control connection, or both connections.", "\"control+data\""),
    key("tls", "require_session_reuse", Flag, "true", "Whether a data connection must resume the TLS session of its control connection.", "true"),
    key("tls", "session_reuse_exempt", Networks, "[]", "Networks whose clients' data connections need not resume anything, for programs that cannot (Python's ftplib, rclone with its defaults). An account has a `require_session_reuse` of its own, which goes before this one.", "[\"10.0.0.0/8\"]"),
    key("tls", "require_close_notify", Flag, "true", "Whether an upload over TLS is complete only if the client says so by close_notify. With `false` an upload that ends by FIN alone is complete as well: somebody on the way can then cut a file short, and nobody notices.", "false"),
    key("tls", "minimum_version", OneOf(&["1.2", "1.3"]), "\"1.2\"", "Oldest TLS version that is accepted.", "\"1.3\""),
    key("tls", "require_extended_master_secret", Flag, "false", "Whether TLS 1.2 without the extended master secret (RFC 7627) is refused. Where it is accepted, nothing resumes such a session, so its data connections are refused where they must resume.", "true"),
    key("tls", "names", Texts, "[]", "If not empty, a client that asks for another server name (SNI) is refused; `*.example.net` covers one label.", "[\"ftp.example.net\"]"),
    unset("tls", "client_ca", Path, "Authorities, in PEM, of client certificates. If unset, none is asked for.", "\"/etc/bulkhead/tls/clients.pem\""),
    key("tls", "require_client_certificate", Flag, "false", "Whether a client without a certificate of `client_ca` is refused.", "true"),
    key("tls", "client_certificate_names_account", Flag, "false", "Whether a client that shows a certificate logs in only to the account that the certificate's common name names, byte for byte. The password is asked for all the same, because the process that checks the certificate faces the network. A client without a certificate logs in as always, unless `require_client_certificate` is set; so do anonymous clients.", "true"),
    key("tls", "implicit_port", Port, "0", "Port for TLS from the first byte, usually 990; 0 = off.", "990"),

    key("i2ftp", "enabled", Flag, "false", "Whether I2FTP is served.", "true"),
    key("i2ftp", "listen_port", Port, "26842", "Port of I2FTP; 0 lets the system choose one.", "26842"),
    key("i2ftp", "plain", Flag, "true", "Whether I2FTP is served on `listen_port` without TLS.", "false"),
    key("i2ftp", "tls_port", Port, "0", "Port of I2FTP inside TLS (recommended); 0 = off.", "26843"),
    key("i2ftp", "wire_version", OneOf(&["2.1", "2.2"]), "\"2.2\"", "Version of the wire format; client and server must agree.", "\"2.1\""),
    unset("i2ftp", "key_hex", HexKey, "The pre-shared key in hexadecimal. Required when enabled.", "\"00112233445566778899aabbccddeeff\""),
    unset("i2ftp", "root", Path, "Directory its clients see as `/`. Required when enabled, unless `account` is set.", "\"/srv/i2ftp\""),
    unset("i2ftp", "account", Text, "Account of the account file whose root, rights and identity its clients get. If unset, the owner of `root`.", "\"exchange\""),
    key("i2ftp", "read_only", Flag, "false", "Whether its clients may change anything.", "true"),
    key("i2ftp", "secured", Flag, "false", "I2FTP's secured mode: obfuscation, not encryption. Use `tls_port` for encryption.", "true"),
    key("i2ftp", "pulf_hash", Flag, "false", "Whether `PULF,path,hash` is understood.", "true"),
    key("i2ftp", "max_unauthenticated", Count, "100", "Most clients that may be about to log in at a time; 0 = no limit.", "50"),
    key("i2ftp", "max_unauthenticated_per_ip", Count, "30", "The same for one address (IPv6: one /64); 0 = no limit.", "10"),
    key("i2ftp", "allow_pctl", Flag, "false", "Whether PCTL is answered with the process id of the supervisor.", "true"),

    key("limits", "login_timeout", Seconds, "60", "Seconds a client may take to log in; 0 = no limit.", "30"),
    key("limits", "max_sessions_per_account", Count, "0", "Most sessions of one account at a time, where the account says nothing else; 0 = no limit.", "10"),
    key("limits", "commands_per_second", UpTo(u32::MAX as u64), "100", "Commands per second before login; after it, refused commands and those that reach no file (such as `NOOP`), beyond a burst of 1,000. More are answered late. Transfers, listings and file operations are never counted. 0 = no limit.", "20"),
    key("limits", "listing_entries", Count, "1000000", "Most entries of one listing; beyond, it ends with an error, never silently. 0 = no limit.", "10000"),
    key("limits", "file_size", Bytes, "0", "Largest file an upload may make, in bytes; 0 = no limit.", "10737418240"),
    key("limits", "ready_gates", UpTo(1000), "4", "Sandboxed processes kept ready for the next clients.", "16"),

    key("access", "networks", Networks, "[]", "Address blocks whose clients alone may connect, for every service; empty: all. Others get 421, and no process is spent on them. For the blocks of one account see its `networks`.", "[\"10.0.0.0/8\", \"2001:db8::/32\"]"),
    key("access", "deny_networks", Networks, "[]", "Address blocks whose clients may not connect, even if `networks` names them.", "[\"192.0.2.0/24\"]"),

    key("penalties", "enabled", Flag, "true", "Whether address blocks that misbehave are refused for a while.", "false"),
    key("penalties", "failed_login", Seconds, "5", "Seconds of penalty for a failed login.", "10"),
    key("penalties", "no_login", Seconds, "1", "Seconds of penalty for a connection that ends without an attempt to log in.", "5"),
    key("penalties", "grace_exceeded", Seconds, "20", "Seconds of penalty for not logging in within `login_timeout`.", "60"),
    key("penalties", "violation", Seconds, "90", "Seconds of penalty for a crash or sandbox violation of the process that served the client.", "600"),
    key("penalties", "floor", Seconds, "15", "Penalties act once they add up to this many seconds.", "30"),
    key("penalties", "ceiling", Seconds, "600", "Penalties never add up to more seconds than this.", "3600"),
    key("penalties", "ipv4_prefix", UpTo(32), "32", "Bits of the address block an IPv4 client is judged by.", "24"),
    key("penalties", "ipv6_prefix", UpTo(128), "64", "Bits of the address block an IPv6 client is judged by.", "56"),
    key("penalties", "blocks", AtLeastOne, "65536", "Most address blocks remembered; the one that expires first makes room.", "10000"),
    key("penalties", "exempt", Networks, "[]", "Address blocks that get no penalties.", "[\"192.0.2.0/24\", \"2001:db8::/32\"]"),

    key("log", "format", OneOf(&["text", "json"]), "\"text\"", "Lines for people, or one JSON object per line.", "\"json\""),
    key("log", "level", OneOf(&["error", "warn", "info", "debug", "trace"]), "\"info\"", "Least important level that is logged.", "\"warn\""),
    unset("log", "file", Path, "File the log is appended to; standard error if unset.", "\"/var/log/bulkhead.log\""),

    key("sandbox", "landlock", OneOf(&["required", "strict", "off"]), "\"required\"", "How much Landlock must be there: some, every right this build knows, or none (chroot, uid and seccomp remain).", "\"strict\""),

    key("sandbox", "without_capabilities", ListOf(&["SETPCAP", "SYS_CHROOT", "KILL"]), "[]", "Capabilities that a server started as root may lack, in a container say; without its name here, one that lacks it does not serve. SETPCAP: bounding sets and securebits stay as they are. SYS_CHROOT: Landlock and uid alone hold a session in its root. KILL: processes of other uids cannot be ended.", "[\"SYS_CHROOT\"]"),

    key("identities", "helper", Text, "\"bulkhead-helper\"", "System user the helper runs as.", "\"bulkhead-helper\""),
    key("identities", "keeper", Text, "\"bulkhead-keeper\"", "System user the keeper of the TLS keys runs as.", "\"bulkhead-keeper\""),
    key("identities", "gate", Text, "\"bulkhead-gate\"", "System user the gates and relays run as.", "\"bulkhead-gate\""),
];
