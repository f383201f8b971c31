//! Translations of whole files, in the form that packages, container images, panels, roles and people
//! bring. Findings D1 to D9.

use std::path::Path;

use ipc::account::{Rights, TlsDemand};

use super::{
    Format, ImportError, i2ftp_json,
    input::Input,
    mini_ftpd, proftpd, pure_ftpd,
    translation::{Fate, Translation, still_to_do},
    vsftpd,
};
use config::Config;

fn translate(format: Format, text: &str) -> Result<Translation, ImportError> {
    let input = Input::of_text(format, "old.conf", text)?;
    match format {
        Format::Vsftpd => vsftpd::translate(&input),
        Format::Proftpd => proftpd::translate(&input),
        Format::PureFtpd => pure_ftpd::translate(&input),
        Format::MiniFtpd => mini_ftpd::translate(&input),
        Format::I2ftp => i2ftp_json::translate(&input),
    }
}

/// What a text becomes once its wider access is accepted, with every line accounted for once.
struct Done {
    config: Config,
    translation: Translation,
    toml: String,
}

fn translated(format: Format, text: &str) -> Done {
    let translation = translate(format, text).unwrap();
    if format != Format::I2ftp {
        let mut places: Vec<_> =
            translation.outcomes().iter().filter_map(|o| o.place.clone()).collect();
        places.sort();
        let mut lines: Vec<_> =
            super::input::lines(text, None).into_iter().map(|line| line.place).collect();
        lines.sort();
        assert_eq!(places, lines, "each line is accounted for exactly once");
    }
    let toml = translation.toml("test", Path::new("old.conf"), false);
    let config = Config::parse(Path::new("/etc/bulkhead/bulkhead.toml"), &toml);
    let config = config.unwrap_or_else(|e| panic!("{e}\n{toml}"));
    if translation.opens_access() {
        let closed = translation.toml("test", Path::new("old.conf"), true);
        assert!(closed.contains("deny_networks = [\"0.0.0.0/0\", \"::/0\"]"), "{closed}");
        assert_eq!(still_to_do(&closed), Vec::<String>::new());
    }
    Done { config, translation, toml }
}

impl Done {
    /// The fate of a line, by its number.
    fn fate(&self, line: usize) -> &Fate {
        let of =
            |o: &&super::translation::Outcome| o.place.as_ref().is_some_and(|p| p.line == line);
        &self.translation.outcomes().iter().find(of).unwrap_or_else(|| panic!("{line}")).fate
    }

    fn opens(&self, line: usize) {
        assert!(matches!(self.fate(line), Fate::Opens(_)), "{line}: {:?}", self.fate(line));
    }

    fn has_pam(&self) -> bool {
        self.config.auth.backends.contains(&ipc::authenticator::Backend::Pam)
    }

    fn rights(&self) -> Rights {
        self.config.auth.pam_rights
    }
}

const TLS: &str = "TLSEngine on\nTLSRSACertificateFile /c.pem\nTLSRSACertificateKeyFile /k.pem\n";

#[test]
fn d1_every_word_of_tls_required_is_as_strict_as_it_was() {
    for (words, demand) in [
        (
            "on yes true 1 both ctrl+data auth+data data control+data whatever",
            TlsDemand::ControlAndData,
        ),
        ("ctrl control auth ctrl+!data auth+!data", TlsDemand::Control),
        ("off no false 0 !data", TlsDemand::None),
    ] {
        for word in words.split(' ') {
            let done = translated(Format::Proftpd, &format!("{TLS}TLSRequired {word}\n"));
            assert_eq!(done.config.tls.unwrap().require, demand, "{word}");
        }
    }
    let implicit =
        translated(Format::Proftpd, &format!("Port 990\n{TLS}TLSOptions UseImplicitSSL\n"));
    let tls = implicit.config.tls.unwrap();
    assert_eq!((tls.implicit_port, tls.require), (Some(990), TlsDemand::Control));
}

#[test]
fn d1_vsftpd_demands_tls_by_default_and_finds_its_certificate() {
    for (more, demand) in [
        ("", TlsDemand::ControlAndData),
        ("force_local_data_ssl=NO\n", TlsDemand::Control),
        ("force_local_logins_ssl=NO\n", TlsDemand::ControlAndData),
        ("force_local_logins_ssl=NO\nforce_local_data_ssl=NO\n", TlsDemand::None),
        ("force_local_logins_ssl=MAYBE\n", TlsDemand::ControlAndData),
    ] {
        let done = translated(Format::Vsftpd, &format!("listen=YES\nssl_enable=YES\n{more}"));
        assert_eq!(done.config.tls.unwrap().require, demand, "{more}");
        assert!(done.toml.contains("/usr/share/ssl/certs/vsftpd.pem"));
    }
}

#[test]
fn d2_users_whose_root_was_not_their_home_are_not_let_in_as_system_users() {
    let base = "listen=YES\nlocal_enable=YES\nwrite_enable=YES\nchroot_local_user=YES\n";
    for line in [
        "guest_enable=YES\nlocal_root=/home/vsftpd/$USER\nuser_sub_token=$USER\npam_service_name=vsftpd_virtual",
        "local_root=/srv/jail/%u",
        "local_root=/srv/ftp",
        "user_config_dir=/etc/vsftpd/users",
        "guest_enable=yes please",
        "pam_service_name=../../tmp/mine",
    ] {
        let done = translated(Format::Vsftpd, &format!("{base}{line}\n"));
        assert!(!done.has_pam(), "{line}");
        let said = done.translation.report(false);
        let first = said.iter().position(|l| l.starts_with("NOT POSSIBLE")).unwrap() + 1;
        assert!(said[first].contains("left out"), "{said:?}");
    }
    for root in ["/srv/ftp/%u", "/srv/ftp", "~/../x", "!x"] {
        let done = translated(Format::Proftpd, &format!("Port 21\nDefaultRoot {root}\n"));
        assert!(!done.has_pam(), "{root}");
    }
    assert!(translated(Format::Proftpd, "Port 21\nDefaultRoot ~ !staff\n").has_pam());
}

#[test]
fn d3_lists_of_users_and_switched_off_commands_of_vsftpd_hold() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list");
    std::fs::write(&file, "# ours\nalice\nbob\n").unwrap();
    let base = format!(
        "listen=YES\nlocal_enable=YES\nwrite_enable=YES\nuserlist_file={}\n",
        file.display()
    );
    let allow =
        translated(Format::Vsftpd, &format!("{base}userlist_enable=YES\nuserlist_deny=NO\n"));
    assert_eq!(allow.config.auth.allow_users, ["alice", "bob"]);
    let deny = translated(Format::Vsftpd, &format!("{base}userlist_enable=YES\n"));
    assert_eq!(deny.config.auth.deny_users, ["root", "alice", "bob"]);
    assert!(deny.config.auth.allow_users.is_empty() && deny.has_pam());
    std::fs::write(&file, "").unwrap();
    let nobody =
        translated(Format::Vsftpd, &format!("{base}userlist_enable=YES\nuserlist_deny=NO\n"));
    assert!(!nobody.has_pam(), "an empty list admits nobody");
    std::fs::remove_file(&file).unwrap();
    for deny in ["YES", "NO"] {
        let lost = translated(
            Format::Vsftpd,
            &format!("{base}userlist_enable=YES\nuserlist_deny={deny}\n"),
        );
        assert!(!lost.has_pam(), "a list that cannot be read admits nobody");
    }
    let base = "listen=YES\nlocal_enable=YES\nwrite_enable=YES\n";
    for (line, gone) in [
        ("download_enable=NO", Rights::READ),
        ("dirlist_enable=NO", Rights::LIST),
        ("chmod_enable=NO", Rights::CHMOD),
        ("mdtm_write=NO", Rights::CHMOD),
        ("cmds_denied=DELE,RMD,SITE", Rights::DELETE.with(Rights::RMDIR).with(Rights::CHMOD)),
        ("cmds_denied=STOR", Rights::WRITE.with(Rights::OVERWRITE).with(Rights::APPEND)),
    ] {
        let done = translated(Format::Vsftpd, &format!("{base}{line}\n"));
        assert_eq!(done.rights(), Rights::READ_WRITE.without(gone), "{line}");
    }
    let only = translated(
        Format::Vsftpd,
        &format!("{base}cmds_allowed=USER,PASS,PASV,RETR,LIST,NLST,STAT,SIZE,MDTM,QUIT\n"),
    );
    assert_eq!(only.rights(), Rights::READ_ONLY);
    only.opens(4);
}

#[test]
fn d4_limits_of_proftpd_hold() {
    let with = |text: &str| {
        translated(
            Format::Proftpd,
            &format!("Port 21\nAllowOverwrite on\nAllowStoreRestart on\n{text}"),
        )
    };
    let rights = |text: &str| with(text).rights();
    assert_eq!(rights("<Limit WRITE>\nDenyAll\n</Limit>\n"), Rights::READ_ONLY);
    assert_eq!(
        rights("<Limit RETR>\n  DenyAll\n</Limit>\n"),
        Rights::READ_WRITE.without(Rights::READ)
    );
    assert_eq!(
        rights("<Limit SITE_CHMOD>\nDenyAll\n</Limit>\n"),
        Rights::READ_WRITE.without(Rights::CHMOD)
    );
    assert_eq!(
        rights("<Limit DELE RMD XRMD>\nAllowUser boss\nDenyAll\n</Limit>\n"),
        Rights::READ_WRITE.without(Rights::DELETE.with(Rights::RMDIR))
    );
    let everywhere = rights("<Directory /*>\n<Limit STOR>\nDenyAll\n</Limit>\n</Directory>\n");
    assert!(!everywhere.contains(Rights::WRITE));
    let group = with("<Limit LOGIN>\nAllowGroup ftpusers\nDenyAll\n</Limit>\n");
    assert_eq!(group.config.auth.allow_groups, ["ftpusers"]);
    let users = with("<Limit LOGIN>\nAllowUser alice, bob\nDenyAll\n</Limit>\n");
    assert_eq!(users.config.auth.allow_users, ["alice", "bob"]);
    let deny = with("<Limit LOGIN>\nDenyUser mallory\n</Limit>\n");
    assert!(deny.config.auth.deny_users.contains(&"mallory".to_owned()));
    for text in [
        "<Limit LOGIN>\nOrder allow,deny\nAllow from 10.0.0.0/8\nDeny from all\n</Limit>\n",
        "<Limit LOGIN>\nAllow from 10.\nDenyAll\n</Limit>\n",
        "<Limit LOGIN>\nOrder deny,allow\nAllow from 10.0.0.0/8\n</Limit>\n",
    ] {
        let networks: Vec<String> =
            with(text).config.access.networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8"], "{text}");
    }
    let denied = with("<Limit LOGIN>\nDeny from 192.0.2.7\n</Limit>\n");
    assert_eq!(denied.config.access.deny_networks.len(), 1);
    let nobody = with("<Limit LOGIN>\nDenyAll\n</Limit>\n");
    assert!(!nobody.has_pam());
    // What is not certain opens access, line by line.
    for text in [
        "<Limit LOGIN>\nAllow from .example.net\nDenyAll\n</Limit>\n",
        "<Limit LOGIN>\nAllowClass lan\nDenyAll\n</Limit>\n",
        "<Limit LOGIN>\nAllowGroup a,b\nDenyAll\n</Limit>\n",
        "<Limit LOGIN>\nAllowUser a\nAllow from 10.0.0.0/8\nDenyAll\n</Limit>\n",
        "<Limit LOGIN>\nOrder deny,allow\nAllow from 10.0.0.0/8\nDeny from all\n</Limit>\n",
        "<Limit PORT EPRT>\nDenyAll\n</Limit>\n",
    ] {
        with(text).opens(5);
    }
    assert_eq!(with("AuthPAMConfig proftpd\n").config.auth.pam_service, "proftpd");
    assert_eq!(with("MaxStoreFileSize 5 Mb\n").config.limits.file_size, 5 << 20);
    with("MaxStoreFileSize 5 Mb user alice\n").opens(4);
}

#[test]
fn d5_nothing_that_closed_something_is_dropped_in_silence() {
    let base = "listen=YES\nlocal_enable=YES\nssl_enable=YES\n";
    for line in [
        "tcp_wrappers=YES",
        "port_enable=NO",
        "pasv_enable=NO",
        "hide_ids=YES",
        "deny_file={*.exe}",
        "require_cert=YES",
        "colour=blue",
    ] {
        translated(Format::Vsftpd, &format!("{base}{line}\n")).opens(4);
    }
    for line in ["check_shell=NO", "validate_cert=YES", "allow_anon_ssl=YES", "ssl_ciphers=HIGH"] {
        let done = translated(Format::Vsftpd, &format!("{base}{line}\n"));
        assert!(matches!(done.fate(4), Fate::Needless(_)), "{line}");
    }
    let silent = translated(Format::Proftpd, "Port 21\n");
    assert!(!silent.rights().contains(Rights::OVERWRITE), "AllowOverwrite is off by default");
    assert!(!silent.rights().contains(Rights::APPEND));
    // Seen beside ProFTPD 1.3.8: APPE needs AllowStoreRestart, whatever AllowOverwrite says.
    let overwrite = translated(Format::Proftpd, "Port 21\nAllowOverwrite on\n").rights();
    assert!(overwrite.contains(Rights::OVERWRITE) && !overwrite.contains(Rights::APPEND));
    for line in [
        "DenyFilter \\.exe$",
        "QuotaEngine on",
        "HideFiles ^x",
        "AllowOverride on",
        "Include /nowhere/*.conf",
        "Colour blue",
        "WrapEngine on",
    ] {
        translated(Format::Proftpd, &format!("Port 21\nUmask 022\n{line}\n")).opens(3);
    }
    for line in ["ListOptions -l", "TransferLog /var/log/x", "DenyFilter \\*.*/"] {
        let done = translated(Format::Proftpd, &format!("Port 21\n{line}\n"));
        assert!(matches!(done.fate(2), Fate::Needless(_)), "{line}");
    }
    let pure = translated(
        Format::PureFtpd,
        "PAMAuthentication yes\nNoTruncate yes\nAllowUserFXP yes\nTLSCipherSuite HIGH\n",
    );
    assert!(!pure.rights().contains(Rights::OVERWRITE));
    assert!(
        matches!(pure.fate(3), Fate::Impossible(_)) && matches!(pure.fate(4), Fate::Needless(_))
    );
}

#[test]
fn d6_conditions_that_may_not_hold_are_not_applied() {
    let done = translated(
        Format::Proftpd,
        "Port 21\n<IfDefine TESTING>\n  Port 2121\n  RequireValidShell off\n</IfDefine>\n\
         <IfModule !mod_tls.c>\n  AllowOverwrite on\n  MaxLoginAttempts 1\n</IfModule>\n\
         <IfModule mod_nowhere.c>\n  Colour blue\n</IfModule>\n<IfModule mod_tls.c>\n  TLSEngine off\n\
         </IfModule>\n<VirtualHost 192.0.2.1>\n  Port 21\n  <Limit ALL>\n    DenyAll\n  </Limit>\n</VirtualHost>\n",
    );
    assert_eq!((done.config.listen_port, done.config.auth.valid_shell), (21, true));
    assert!(!done.rights().contains(Rights::OVERWRITE));
    assert!(
        matches!(done.fate(3), Fate::Impossible(_)) && matches!(done.fate(7), Fate::Impossible(_))
    );
    done.opens(8);
    done.opens(11);
    assert!(matches!(done.fate(14), Fate::Taken));
    assert!(
        matches!(done.fate(19), Fate::Impossible(_)),
        "a host that is not served refuses nobody"
    );
}

#[test]
fn d7_rights_of_pure_ftpd_are_named_for_imported_accounts() {
    let done = translated(
        Format::PureFtpd,
        "PureDB /etc/pure-ftpd/pureftpd.pdb\nNoChmod yes\nKeepAllFiles yes\n",
    );
    assert!(!done.has_pam());
    let report = done.translation.report(true).join("\n");
    assert!(report.contains("--rights list,read,write,append,mkdir,rmdir"), "{report}");
    assert!(done.translation.opens_access());
}

#[test]
fn d8_a_file_of_another_server_is_refused() {
    let refused = |format, text: &str| translate(format, text).err().unwrap().to_string();
    let vsftpd = "listen=YES\nlocal_enable=YES\nwrite_enable=YES\n";
    let proftpd = "ServerType standalone\nPort 21\nUmask 022\n";
    assert!(refused(Format::Proftpd, vsftpd).contains("this is not a proftpd file"));
    assert!(refused(Format::Vsftpd, proftpd).contains("this is not a vsftpd file"));
    assert!(refused(Format::PureFtpd, vsftpd).contains("this is not a pure-ftpd file"));
    assert!(refused(Format::I2ftp, proftpd).contains("this is not a i2ftp file"));
    assert!(refused(Format::I2ftp, "[]").contains("no JSON object"));
    assert!(refused(Format::I2ftp, "{\"colour\": 1}").contains("no settings"));
    assert!(refused(Format::MiniFtpd, "a=1\nb=2\n").contains("this is not a mini-ftpd file"));
}

#[test]
fn d9_ports_addresses_names_and_templates() {
    let base = "listen=YES\nssl_enable=YES\nimplicit_ssl=YES\n";
    let done = translated(
        Format::Vsftpd,
        &format!("{base}listen_port=2121\nforce_local_logins_ssl=NO\nforce_local_data_ssl=NO\n"),
    );
    let tls = done.config.tls.as_ref().unwrap();
    assert_eq!((tls.implicit_port, done.config.listen_port), (Some(2121), 21));
    assert_eq!(tls.require, TlsDemand::Control, "who spoke TLS from the first byte still must");
    let default = translated(Format::Vsftpd, base);
    assert_eq!(
        (default.config.tls.unwrap().implicit_port, default.config.listen_port),
        (Some(21), 2121)
    );
    for address in ["0.0.0.0", "ftp.example.net", "224.0.0.1", "a b"] {
        let done = translated(Format::Vsftpd, &format!("listen=YES\npasv_address={address}\n"));
        assert!(done.config.passive.addresses.is_empty(), "{address}");
    }
    for (format, text) in [
        (Format::Vsftpd, "listen=YES\nmax_clients={{ vsftpd_max_clients }}\n"),
        (Format::Vsftpd, "listen=YES\npasv_address=${PASV_ADDRESS}\n"),
        (Format::Vsftpd, "listen=YES\n{% if x %}\nlocal_enable=YES\n"),
        (Format::Proftpd, "Port 21\nUmask <%= @umask %>\n"),
        (Format::Proftpd, "Port 21\nServerName ${NAME:-ftp}\n"),
        (Format::PureFtpd, "MaxClientsNumber @@MAX@@\n"),
    ] {
        let error = translate(format, text).err().unwrap();
        assert!(
            matches!(
                error,
                ImportError::Template { line: 2, .. } | ImportError::Template { line: 1, .. }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("render it first"), "{error}");
    }
    let escape = translated(
        Format::Vsftpd,
        "listen=YES\nftpd_banner=\u{1b}[2Jhello\nlocal_root=/x\u{1b}]0;y\u{7}\nco\u{202e}l=1\n",
    );
    for text in [escape.toml, escape.translation.report(true).join("\n")] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }
    let hostile = escape.translation.toml("vsftpd", Path::new("x\nlisten_port = 1\n#"), false);
    assert!(!hostile.contains("\nlisten_port = 1"), "{hostile}");
}

#[test]
fn vsftpd_as_debian_ships_it() {
    let done = translated(
        Format::Vsftpd,
        "# comment\nlisten=NO\nlisten_ipv6=YES\nanonymous_enable=NO\nlocal_enable=YES\n\
         dirmessage_enable=YES\nuse_localtime=YES\nxferlog_enable=YES\nconnect_from_port_20=YES\n\
         secure_chroot_dir=/var/run/vsftpd/empty\npam_service_name=vsftpd\n\
         rsa_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\n\
         rsa_private_key_file=/etc/ssl/private/ssl-cert-snakeoil.key\nssl_enable=NO\n",
    );
    assert_eq!(done.config.listen_addresses.len(), 2);
    assert_eq!(done.config.auth.pam_service, "vsftpd");
    assert!(done.has_pam() && done.rights() == Rights::READ_ONLY, "write_enable is off by default");
    assert!(done.config.tls.is_none() && done.config.anonymous.is_none());
    assert!(!done.translation.opens_access(), "{:?}", done.translation.report(false));
}

#[test]
fn proftpd_as_debian_ships_it() {
    let done = translated(
        Format::Proftpd,
        "Include /etc/proftpd/modules.conf\nUseIPv6 on\n<IfModule mod_ident.c>\n  IdentLookups off\n\
         </IfModule>\nServerName \"Debian\"\nServerType standalone\nDeferWelcome off\n\
         DefaultServer on\nShowSymlinks on\nTimeoutNoTransfer 600\nTimeoutStalled 600\n\
         TimeoutIdle 1200\nDisplayLogin welcome.msg\nListOptions \"-l\"\nDenyFilter \\*.*/\n\
         Port 21\nMaxInstances 30\nUser proftpd\nGroup nogroup\nUmask 022 022\nAllowOverwrite on\n\
         TransferLog /var/log/proftpd/xferlog\n<Anonymous /srv/ftp>\n  User ftp\n</Anonymous>\n\
         <IfModule mod_tls.c>\n  TLSEngine on\n  TLSRSACertificateFile \"/c.pem\"\n\
         TLSRSACertificateKeyFile /k.pem\n  TLSRequired on\n</IfModule>\n\
         AuthUserFile /etc/proftpd/ftpd.passwd\nTransferRate RETR 2.5\nPassivePorts 49152 65534\n",
    );
    let config = &done.config;
    assert_eq!((config.maximum_clients, config.umask), (30, 0o22));
    assert_eq!((config.limits.idle_ctrl_timeout, config.limits.idle_data_timeout), (1200, 600));
    assert_eq!((config.limits.download_rate, config.limits.upload_rate), (2560, 0));
    assert!(config.anonymous.is_none(), "a section may ask for a password");
    let tls = config.tls.as_ref().unwrap();
    assert_eq!(tls.pairs, [("/c.pem".into(), "/k.pem".into())]);
    assert_eq!(tls.require, TlsDemand::ControlAndData);
    assert_eq!(config.passive.ports, (49152, 65534));
    assert!(done.rights().contains(Rights::OVERWRITE));
}

#[test]
fn pure_ftpd_as_debian_ships_it() {
    let done = translated(
        Format::PureFtpd,
        "ChrootEveryone               yes\nMaxClientsNumber             50\n\
         MaxClientsPerIP              8\nNoAnonymous                  yes\n\
         MaxIdleTime                  15\nLimitRecursion               10000 8\n\
         Umask                        133:022\nMinUID                       100\n\
         PAMAuthentication            yes\nMaxLoad 4\n\
         TLS 2\nCertFileAndKey \"/etc/c.pem\" \"/etc/k.pem\"\nUserBandwidth 8:\nNoChmod yes\n",
    );
    let config = &done.config;
    assert_eq!((config.maximum_clients, config.max_conns_per_ip), (50, 8));
    assert_eq!((config.limits.idle_ctrl_timeout, config.limits.listing_entries), (900, 10000));
    assert_eq!((config.limits.upload_rate, config.limits.download_rate), (8192, 0));
    assert_eq!((config.auth.minimum_uid, config.umask), (100, 0o22));
    assert!(!done.rights().contains(Rights::CHMOD));
    assert_eq!(config.tls.as_ref().unwrap().require, TlsDemand::Control);
    assert!(!done.translation.opens_access(), "{:?}", done.translation.report(false));
}

#[test]
fn the_small_server_and_its_umask() {
    let done = translated(
        Format::MiniFtpd,
        "# /etc/mini_ftpd.conf\nlisten_address = 0.0.0.0\nlisten_port=2121\nlocal_umask = 077\n\
         max_conns_per_ip = 2\nmaximum_clients = 3\nfoo = 1\n",
    );
    assert_eq!(done.config.listen_addresses[0].to_string(), "0.0.0.0");
    assert_eq!((done.config.umask, done.config.max_conns_per_ip), (0o77, 2));
    done.opens(7);
}

#[test]
fn the_json_of_the_python_server() {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let done = translated(
        Format::I2ftp,
        &format!(
            "{{\n\"root\": \"/srv/i2ftp\",\n\"port\": 26843,\n\"log_file\": \"/var/log/i2ftp.log\",\n\
             \"log_level\": \"WARNING\",\n\"keychain\": \"{key}\",\n\"tls\": true,\n\
             \"read_only\": true,\n\"colour\": 1\n}}"
        ),
    );
    let i2ftp = done.config.i2ftp.as_ref().unwrap();
    assert_eq!((i2ftp.listen_port, i2ftp.secured, i2ftp.read_only), (Some(26843), true, true));
    assert_eq!(done.config.log.file.as_deref(), Some(Path::new("/var/log/i2ftp.log")));
    done.opens(9);

    let published =
        "263930255d3e5f5f41646649324654502446255f2b40245e3a6142617369634b6579255f2b402d245e3a3e";
    let text = format!("{{\"root\": \"/x\", \"keychain\": \"{published}\"}}");
    let done = translated(Format::I2ftp, &text);
    assert!(done.config.i2ftp.is_none());
    assert!(!done.toml.contains(published));
}
