//! Translations of whole files, in the form the Debian packages and the ancestors bring.

use std::path::Path;

use super::{Format, translate};
use config::Config;

/// The configuration a text becomes, and what is said about it.
fn translated(format: Format, text: &str) -> (Config, String) {
    let (toml, problems) = translate(format, text).unwrap().finish("test", Path::new("old.conf"));
    let config = Config::parse(Path::new("/etc/bulkhead/bulkhead.toml"), &toml);
    (config.unwrap_or_else(|e| panic!("{e}\n{toml}")), problems.join("\n"))
}

#[test]
fn vsftpd_as_debian_ships_it() {
    let (config, problems) = translated(
        Format::Vsftpd,
        "# comment\nlisten=NO\nlisten_ipv6=YES\nanonymous_enable=NO\nlocal_enable=YES\n\
         dirmessage_enable=YES\nuse_localtime=YES\nxferlog_enable=YES\nconnect_from_port_20=YES\n\
         secure_chroot_dir=/var/run/vsftpd/empty\npam_service_name=vsftpd\n\
         rsa_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\n\
         rsa_private_key_file=/etc/ssl/private/ssl-cert-snakeoil.key\nssl_enable=NO\n",
    );
    assert_eq!(config.listen_addresses.len(), 2);
    assert_eq!(config.auth.pam_service, "vsftpd");
    assert_eq!(config.auth.backends.len(), 2);
    assert!(!config.auth.pam_rights.any_write(), "write_enable is off by default");
    assert!(config.tls.is_none() && config.anonymous.is_none());
    assert_eq!(
        problems.lines().map(|l| l.split(':').nth(1).unwrap()).collect::<Vec<_>>(),
        ["6", "7"],
        "{problems}"
    );
}

#[test]
fn vsftpd_with_tls_and_limits() {
    let (config, problems) = translated(
        Format::Vsftpd,
        "listen=YES\nwrite_enable=YES\nlocal_enable=YES\nlocal_umask=022\nssl_enable=YES\n\
         rsa_cert_file=/c.pem\nforce_local_data_ssl=NO\npasv_min_port=40000\npasv_max_port=40100\n\
         local_max_rate=1000\nidle_session_timeout=600\nmax_clients=7\nrequire_ssl_reuse=NO\n\
         delay_failed_login=2\nanon_upload_enable=YES\nlocal_umask=9\nnonsense\n",
    );
    let tls = config.tls.unwrap();
    assert_eq!(tls.require, ipc::account::TlsDemand::Control);
    assert!(!tls.require_session_reuse);
    assert_eq!(tls.pairs[0].0, tls.pairs[0].1);
    assert_eq!(config.passive.ports, (40000, 40100));
    assert_eq!((config.umask, config.maximum_clients), (0o22, 7));
    assert_eq!((config.limits.upload_rate, config.limits.idle_ctrl_timeout), (1000, 600));
    assert_eq!(config.attempts.failure_delay, 2000);
    assert!(config.auth.pam_rights.any_write());
    assert_eq!(problems.lines().count(), 3, "{problems}");
}

#[test]
fn proftpd_as_debian_ships_it() {
    let (config, problems) = translated(
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
    assert_eq!((config.maximum_clients, config.umask), (30, 0o22));
    assert_eq!((config.limits.idle_ctrl_timeout, config.limits.idle_data_timeout), (1200, 600));
    assert_eq!((config.limits.download_rate, config.limits.upload_rate), (2560, 0));
    assert!(config.anonymous.is_none(), "a section may ask for a password");
    let tls = config.tls.unwrap();
    assert_eq!(tls.pairs, [("/c.pem".into(), "/k.pem".into())]);
    assert_eq!(tls.require, ipc::account::TlsDemand::ControlAndData);
    assert_eq!(config.passive.ports, (49152, 65534));
    for said in ["modules.conf", "TimeoutNoTransfer", "DisplayLogin", "user import", "<Anonymous"] {
        assert!(problems.contains(said), "{said}: {problems}");
    }
}

#[test]
fn pure_ftpd_as_debian_ships_it() {
    let (config, problems) = translated(
        Format::PureFtpd,
        "ChrootEveryone               yes\nMaxClientsNumber             50\n\
         MaxClientsPerIP              8\nNoAnonymous                  yes\n\
         MaxIdleTime                  15\nLimitRecursion               10000 8\n\
         Umask                        133:022\nMinUID                       100\n\
         PAMAuthentication            yes\nPureDB /etc/pure-ftpd/pureftpd.pdb\nMaxLoad 4\n\
         TLS 2\nCertFileAndKey \"/etc/c.pem\" \"/etc/k.pem\"\nUserBandwidth 8:\nNoChmod yes\n",
    );
    assert_eq!((config.maximum_clients, config.max_conns_per_ip), (50, 8));
    assert_eq!((config.limits.idle_ctrl_timeout, config.limits.listing_entries), (900, 10000));
    assert_eq!((config.limits.upload_rate, config.limits.download_rate), (8192, 0));
    assert_eq!((config.auth.minimum_uid, config.umask), (100, 0o22));
    assert!(!config.auth.pam_rights.contains(ipc::account::Rights::CHMOD));
    assert_eq!(config.tls.unwrap().require, ipc::account::TlsDemand::Control);
    for said in ["133", "user import", "MaxLoad"] {
        assert!(problems.contains(said), "{said}: {problems}");
    }
    assert_eq!(problems.lines().count(), 3, "{problems}");
}

#[test]
fn the_small_server_and_its_umask() {
    let (config, problems) = translated(
        Format::MiniFtpd,
        "# /etc/mini_ftpd.conf\nlisten_address = 0.0.0.0\nlisten_port=2121\nlocal_umask = 077\n\
         max_conns_per_ip = 2\nmaximum_clients = 3\nfoo = 1\n",
    );
    assert_eq!(config.listen_addresses[0].to_string(), "0.0.0.0");
    assert_eq!((config.umask, config.max_conns_per_ip, config.maximum_clients), (0o77, 2, 3));
    assert_eq!(problems, "old.conf:7: left out: foo = 1: there is no such setting");
}

#[test]
fn the_json_of_the_python_server() {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let (config, problems) = translated(
        Format::I2ftp,
        &format!(
            "{{\n\"root\": \"/srv/i2ftp\",\n\"port\": 26843,\n\"log_file\": \"/var/log/i2ftp.log\",\n\
             \"log_level\": \"WARNING\",\n\"keychain\": \"{key}\",\n\"tls\": true,\n\
             \"read_only\": true,\n\"colour\": 1\n}}"
        ),
    );
    let i2ftp = config.i2ftp.unwrap();
    assert_eq!((i2ftp.listen_port, i2ftp.secured, i2ftp.read_only), (Some(26843), true, true));
    assert_eq!(config.log.file.unwrap(), Path::new("/var/log/i2ftp.log"));
    assert!(problems.contains("old.conf:9: left out: colour"), "{problems}");
    assert!(problems.contains("old.conf:3: left out: listening on every address"), "{problems}");
    assert!(problems.contains("old.conf:7: left out: encryption"), "{problems}");

    let published =
        "263930255d3e5f5f41646649324654502446255f2b40245e3a6142617369634b6579255f2b402d245e3a3e";
    let text = format!("{{\"root\": \"/x\", \"keychain\": \"{published}\"}}");
    let (config, problems) = translated(Format::I2ftp, &text);
    assert!(config.i2ftp.is_none() && problems.contains("everybody knows"), "{problems}");
    assert!(!problems.contains(published));
    assert!(translate(Format::I2ftp, "[]").is_err());
}
