//! Every setting of Pure-FTPd's file and of Debian's wrapper, and what it means here.

use ipc::account::Rights;

use super::{
    Seen, bandwidth, bind, certificate, forbids, idle, is_on, passive_address, per_user, ports,
    recursion, system_users, tls, umask,
};
use crate::{
    commands::import::{
        directive::{
            NEVER, OFF, Row,
            Rule::{Closes, Lacks, Needless, Translated},
        },
        translation::Fate,
    },
    import_rows,
};

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Row<Seen>] = import_rows! {
    Translated(|s, _, into| into.limit("", "maximum_clients", &s.value)) => "MaxClientsNumber";
    Translated(|s, _, into| into.limit("", "max_conns_per_ip", &s.value)) => "MaxClientsPerIP";
    Translated(|s, _, into| per_user(s, into)) => "PerUserLimits";
    Translated(|s, _, into| idle(s, into)) => "MaxIdleTime";
    Translated(|s, _, into| recursion(s, into)) => "LimitRecursion";
    Translated(|s, _, into| into.limit("auth", "minimum_uid", &s.value)) => "MinUID";
    Translated(|s, _, into| umask(s, into)) => "Umask";
    Translated(|s, _, into| bandwidth(s, into)) => "UserBandwidth";
    Translated(|s, _, into| ports(s, into)) => "PassivePortRange";
    Translated(|s, _, into| passive_address(s, into)) => "ForcePassiveIP";
    Translated(|s, _, into| bind(s, into)) => "Bind";
    Translated(|s, seen, _| { if is_on(s) { seen.addresses = Some(&["0.0.0.0"]); } Fate::Taken }) => "IPV4Only";
    Translated(|s, seen, _| { if is_on(s) { seen.addresses = Some(&["::"]); } Fate::Taken }) => "IPV6Only";
    Translated(|s, seen, into| system_users(s, seen, into, true)) => "PAMAuthentication";
    Translated(|s, seen, into| system_users(s, seen, into, false)) => "UnixAuthentication";
    Translated(|_, seen, _| { seen.imports = true; Fate::impossible("take its accounts over from pureftpd.passwd with `bulkhead user import`") }) => "PureDB";
    Translated(|s, seen, _| { seen.anonymous_only = is_on(s); Fate::Taken }) => "AnonymousOnly";
    Translated(|s, _, _| if is_on(s) { Fate::needless("nobody logs in anonymously unless [anonymous] says so") } else {
        Fate::closed("nobody logs in anonymously: set `root` and `enabled = true` below [anonymous]") }) => "NoAnonymous";
    Translated(|s, _, into| forbids(s, into, Rights::CHMOD)) => "NoChmod";
    Translated(|s, _, into| forbids(s, into, Rights::RENAME)) => "NoRename";
    Translated(|s, _, into| forbids(s, into, Rights::OVERWRITE)) => "NoTruncate";
    Translated(|s, _, into| forbids(s, into, Rights::DELETE.with(Rights::OVERWRITE).with(Rights::RENAME))) => "KeepAllFiles";
    Translated(|s, seen, _| tls(s, seen)) => "TLS";
    Translated(|s, seen, _| certificate(s, seen)) => "CertFile" "CertFileAndKey";
    Translated(|s, _, _| if is_on(s) { Fate::opens("an upload is not refused when the disk is that full, nor by a quota here; use quotas of the file system") } else { Fate::needless("it changes nothing") }) => "MaxDiskUsage" "Quota";
    Closes(OFF, "names with a dot cannot be refused") => "ProhibitDotFilesRead" "ProhibitDotFilesWrite";
    Closes(NEVER, "there are no ratios") => "UserRatio" "AnonymousRatio";
    Closes(NEVER, "accounts cannot be bound to an address of the server; listen on that one alone") => "TrustedIP";
    Lacks(NEVER, "accounts are those of the account file or of PAM (SSSD, pam_mysql)") => "ExtAuth" "MySQLConfigFile" "PGSQLConfigFile" "LDAPConfigFile";
    Lacks(OFF, "a data connection belongs to the client of its control connection") => "AllowUserFXP" "AllowAnonymousFXP";
    Lacks(OFF, "anonymous clients can only read") => "AnonymousCanCreateDirs";
    Lacks(NEVER, "there is no rate of anonymous clients alone") => "AnonymousBandwidth";
    Lacks(NEVER, "load is no reason to refuse anybody; connections are limited") => "MaxLoad";
    Lacks(OFF, "an upload to a name that is there replaces the file, if the account may overwrite") => "AutoRename";
    Lacks(OFF, "nothing is executed for an upload; follow the log, or watch the directory") => "CallUploadScript";
    Lacks(OFF, "a root that is not there refuses the login; make it with the account") => "CreateHomeDir";
    Lacks(NEVER, "there is no such text") => "FortunesFile";
    Lacks(NEVER, "a certificate is read from files that are named by the configuration") => "ExtCert";
    Lacks(NEVER, "names are UTF-8 or bytes as they are") => "FSCharset" "ClientCharset" "FileSystemCharset";
    Closes(NEVER, "the other file is not read; write its lines here and import again") => "Include";
    Needless("every account is confined to its root") => "ChrootEveryone" "TrustedGID";
    Needless("anonymous clients can only read") => "AnonymousCantUpload" "AntiWarez";
    Needless("dot files are listed, as they are to whoever asks there") => "DisplayDotFiles" "AllowDotFiles";
    Needless("transfers and logins are lines of one log") => "AltLog" "SyslogFacility" "VerboseLog" "LogPID";
    Needless("names of clients are never looked up") => "DontResolve";
    Needless("systemd starts the server") => "Daemonize" "PIDFile";
    Needless("active data connections come from port 20 or a random one, and PASV announces the address that was connected to") => "NATmode";
    Needless("it is always so here") => "BrokenClientsCompatibility" "CustomerProof";
    Needless("only cipher suites with forward secrecy and AEAD are spoken") => "TLSCipherSuite";
};
