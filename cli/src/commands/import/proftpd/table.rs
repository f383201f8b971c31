//! Every directive of ProFTPD and of the modules in Debian's packages, and what it means here.

use super::directives::{self, Seen};
use crate::{
    commands::import::directive::{
        NEVER, OFF, ON, Row,
        Rule::{Closes, Lacks, Needless, Translated},
    },
    import_rows,
};

/// The modules that these directives belong to: `<IfModule mod_x.c>` of one of them is applied.
#[rustfmt::skip]
pub const MODULES: &[&str] = &[
    "mod_auth", "mod_auth_file", "mod_auth_otp", "mod_auth_pam", "mod_auth_unix", "mod_ban",
    "mod_cap", "mod_copy", "mod_core", "mod_ctrls", "mod_ctrls_admin", "mod_deflate", "mod_delay",
    "mod_digest", "mod_dnsbl", "mod_dso", "mod_dynmasq", "mod_exec", "mod_facl", "mod_facts",
    "mod_geoip", "mod_ident", "mod_ifsession", "mod_ifversion", "mod_lang", "mod_ldap", "mod_load",
    "mod_log", "mod_log_forensic", "mod_ls", "mod_memcache", "mod_qos", "mod_quotatab",
    "mod_quotatab_file", "mod_quotatab_ldap", "mod_quotatab_radius", "mod_quotatab_sql",
    "mod_radius", "mod_ratio", "mod_readme", "mod_redis", "mod_rewrite", "mod_rlimit", "mod_sftp",
    "mod_sftp_pam", "mod_shaper", "mod_site", "mod_site_misc", "mod_snmp", "mod_sql",
    "mod_sql_mysql", "mod_sql_odbc", "mod_sql_passwd", "mod_sql_postgres", "mod_sql_sqlite",
    "mod_statcache", "mod_tls", "mod_tls_fscache", "mod_tls_memcache", "mod_tls_shmcache",
    "mod_unique_id", "mod_wrap", "mod_wrap2", "mod_wrap2_file", "mod_wrap2_sql", "mod_xfer",
];

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Row<Seen>] = import_rows! {
    Translated(directives::port) => "Port";
    Translated(directives::address) => "DefaultAddress";
    Translated(directives::masquerade) => "MasqueradeAddress";
    Translated(directives::passive_ports) => "PassivePorts";
    Translated(directives::instances) => "MaxInstances" "MaxClients";
    Translated(directives::per_host) => "MaxClientsPerHost" "MaxConnectionsPerHost";
    Translated(directives::per_user) => "MaxClientsPerUser";
    Translated(directives::attempts) => "MaxLoginAttempts";
    Translated(directives::idle) => "TimeoutIdle";
    Translated(directives::stalled) => "TimeoutStalled";
    Translated(directives::login_time) => "TimeoutLogin";
    Translated(directives::umask) => "Umask";
    Translated(directives::banner) => "ServerIdent";
    Translated(directives::ipv6) => "UseIPv6";
    Translated(directives::server_type) => "ServerType";
    Translated(directives::auth_pam) => "AuthPAM";
    Translated(directives::auth_order) => "AuthOrder";
    Translated(directives::pam_service) => "AuthPAMConfig";
    Translated(directives::user_file) => "AuthUserFile";
    Translated(directives::valid_shell) => "RequireValidShell";
    Translated(directives::use_ftpusers) => "UseFtpUsers";
    Translated(directives::overwrite) => "AllowOverwrite";
    Translated(directives::store_restart) => "AllowStoreRestart";
    Translated(directives::default_root) => "DefaultRoot";
    Translated(directives::engine) => "TLSEngine";
    Translated(directives::certificate) => "TLSRSACertificateFile" "TLSECCertificateFile";
    Translated(directives::key) => "TLSRSACertificateKeyFile" "TLSECCertificateKeyFile";
    Translated(directives::required) => "TLSRequired";
    Translated(directives::client_ca) => "TLSCACertificateFile";
    Translated(directives::verify_client) => "TLSVerifyClient";
    Translated(directives::tls_options) => "TLSOptions";
    Translated(directives::protocol) => "TLSProtocol";
    Translated(directives::store_size) => "MaxStoreFileSize";
    Translated(directives::rate) => "TransferRate";
    Translated(directives::hidden_stores) => "HiddenStores";
    Translated(directives::deny_filter) => "DenyFilter";
    Translated(directives::protocols) => "Protocols";
    Needless("it says more of AuthOTPEngine") =>
        "AuthOTPAlgorithm" "AuthOTPLog" "AuthOTPOptions" "AuthOTPTable" "AuthOTPTableLock";
    Closes(OFF, "there is no second factor of its file; enrol anew with `bulkhead user totp`") =>
        "AuthOTPEngine";
    Needless("it says more of BanEngine") =>
        "BanCache" "BanCacheOptions" "BanControlsACLs" "BanLog" "BanMessage" "BanOnEvent" "BanOptions" "BanTable";
    Lacks(OFF, "penalties of addresses are [penalties]") =>
        "BanEngine";
    Lacks(OFF, "files are not copied on the server") =>
        "CopyEngine";
    Needless("it says more of CopyEngine") =>
        "CopyOptions";
    Needless("the running server is asked with `bulkhead`") =>
        "AdminControlsACLs" "AdminControlsEngine";
    Lacks(OFF, "there is no MODE Z") =>
        "DeflateEngine";
    Needless("it says more of DeflateEngine") =>
        "DeflateLog";
    Needless("HASH and XCRC are answered to whoever may read") =>
        "DigestAlgorithms" "DigestCache" "DigestDefaultAlgorithm" "DigestEnable" "DigestEngine" "DigestMaxSize" "DigestOptions";
    Closes(OFF, "clients are not judged by where they are; write [access] networks") =>
        "DNSBLDomain" "DNSBLEngine" "GeoIPAllowFilter" "GeoIPDenyFilter" "GeoIPEngine";
    Needless("it says more of DNSBLEngine") =>
        "DNSBLLog" "DNSBLPolicy";
    Needless("`[passive] address` may be a name") =>
        "DynMasqControlsACLs" "DynMasqRefresh";
    Needless("it says more of ExecEngine") =>
        "ExecBeforeCommand" "ExecEnable" "ExecEnviron" "ExecLog" "ExecOnCommand" "ExecOnConnect" "ExecOnError" "ExecOnEvent" "ExecOnExit"
        "ExecOnRestart" "ExecOptions" "ExecTimeout";
    Lacks(OFF, "nothing is executed for a command") =>
        "ExecEngine";
    Needless("it says more of GeoIPEngine") =>
        "GeoIPLog" "GeoIPPolicy" "GeoIPTable";
    Needless("it says more of LDAPServer") =>
        "LDAPAliasDereference" "LDAPAttr" "LDAPAuthBinds" "LDAPBindDN" "LDAPConnectTimeout" "LDAPDNInfo" "LDAPDefaultAuthScheme" "LDAPDefaultGID"
        "LDAPDefaultQuota" "LDAPDefaultUID" "LDAPForceDefaultGID" "LDAPForceDefaultUID" "LDAPForceGeneratedHomedir" "LDAPGenerateHomedir"
        "LDAPGenerateHomedirPrefix" "LDAPGenerateHomedirPrefixNoUsername" "LDAPGroups" "LDAPLog" "LDAPProtocolVersion" "LDAPQueryTimeout"
        "LDAPSearchScope" "LDAPUseSASL" "LDAPUseTLS";
    Lacks(OFF, "accounts of a database come through PAM (SSSD, pam_mysql)") =>
        "LDAPDoAuth" "LDAPServer" "LDAPUsers" "RadiusEngine" "SQLConnectInfo" "SQLEngine";
    Lacks(NEVER, "only the number of connections in all, of an address and of an account is limited") =>
        "MaxClientsPerClass" "MaxConnectionRate" "MaxHostsPerUser" "MaxLoad" "MaxTransfersPerHost" "MaxTransfersPerUser" "ServerMaxInstances";
    Needless("transfers and logins are lines of one log") =>
        "AllowLogSymlinks" "ExtendedLog" "ForensicLogBufferSize" "ForensicLogCapture" "ForensicLogCriteria" "ForensicLogEngine" "ForensicLogFile"
        "LogFormat" "LogOptions" "ServerLog" "SystemLog";
    Needless("the kernel decides about marks") =>
        "QoSOptions";
    Needless("it says more of QuotaEngine") =>
        "QuotaDefault" "QuotaDirectoryTally" "QuotaDisplayUnits" "QuotaExcludeFilter" "QuotaLimitTable" "QuotaLock" "QuotaLog" "QuotaOptions"
        "QuotaShowQuotas" "QuotaTallyTable";
    Closes(OFF, "there are no quotas; use those of the file system") =>
        "QuotaEngine";
    Needless("it says more of RadiusEngine") =>
        "RadiusAcctServer" "RadiusAuthServer" "RadiusGroupInfo" "RadiusLog" "RadiusNASIdentifier" "RadiusOptions" "RadiusQuotaInfo" "RadiusRealm"
        "RadiusUserInfo" "RadiusVendor";
    Closes(OFF, "there are no ratios") =>
        "AnonRatio" "GroupRatio" "HostRatio" "Ratios" "UserRatio";
    Needless("it says more of Ratios") =>
        "ByteRatioErrMsg" "CwdRatioMsg" "FileRatioErrMsg" "LeechRatioMsg" "RatioFile" "RatioTempFile" "SaveRatios";
    Lacks(NEVER, "there is no such text") =>
        "AccessDenyMsg" "AccessGrantMsg" "DisplayChdir" "DisplayConnect" "DisplayFileTransfer" "DisplayFirstChdir" "DisplayGoAway" "DisplayLogin"
        "DisplayQuit" "DisplayReadme" "LoginPasswordPrompt";
    Needless("it says more of RewriteEngine") =>
        "RewriteCondition" "RewriteLock" "RewriteLog" "RewriteMap" "RewriteMaxReplace" "RewriteRule";
    Closes(OFF, "commands are not rewritten") =>
        "RewriteEngine";
    Needless("it says more of SFTPEngine") =>
        "SFTPAcceptEnv" "SFTPAuthMethods" "SFTPAuthorizedHostKeys" "SFTPAuthorizedUserKeys" "SFTPCiphers" "SFTPClientAlive" "SFTPClientMatch"
        "SFTPCompression" "SFTPCryptoDevice" "SFTPDHParamFile" "SFTPDigests" "SFTPDisplayBanner" "SFTPExtensions" "SFTPHostKey" "SFTPHostKeys"
        "SFTPKeyBlacklist" "SFTPKeyExchanges" "SFTPKeyLimits" "SFTPLog" "SFTPMaxChannels" "SFTPOptions" "SFTPPAMOptions" "SFTPPAMServiceName"
        "SFTPPassPhraseProvider" "SFTPRekey" "SFTPTrafficPolicy";
    Lacks(OFF, "OpenSSH serves SFTP") =>
        "SFTPEngine" "SFTPPAMEngine";
    Needless("it says more of ShaperEngine") =>
        "ShaperAll" "ShaperControlsACLs" "ShaperLog" "ShaperSession" "ShaperTable";
    Lacks(OFF, "rates are per session") =>
        "ShaperEngine";
    Needless("SITE commands are those of HELP SITE") =>
        "SiteMiscEngine";
    Needless("it says more of SNMPEngine") =>
        "SNMPAgent" "SNMPCommunity" "SNMPLog" "SNMPNotify" "SNMPOptions" "SNMPTables";
    Lacks(OFF, "the server is asked with `bulkhead status`") =>
        "SNMPEngine";
    Needless("it says more of SQLEngine") =>
        "SQLAuthTypes" "SQLAuthenticate" "SQLBackend" "SQLDefaultGID" "SQLDefaultHomedir" "SQLDefaultUID" "SQLGroupInfo" "SQLGroupPrimaryKey"
        "SQLGroupWhereClause" "SQLKeepAlive" "SQLLog" "SQLLogFile" "SQLLogOnEvent" "SQLMinID" "SQLMinUserGID" "SQLMinUserUID" "SQLNamedConnectInfo"
        "SQLNamedQuery" "SQLNegativeCache" "SQLODBCVersion" "SQLOptions" "SQLPasswordArgon2" "SQLPasswordCost" "SQLPasswordEncoding"
        "SQLPasswordEngine" "SQLPasswordOptions" "SQLPasswordPBKDF2" "SQLPasswordRounds" "SQLPasswordSaltEncoding" "SQLPasswordSaltFile"
        "SQLPasswordScrypt" "SQLPasswordUserSalt" "SQLRatioStats" "SQLRatios" "SQLShowInfo" "SQLUserInfo" "SQLUserPrimaryKey" "SQLUserWhereClause";
    Needless("attributes are not kept") =>
        "StatCacheCapacity" "StatCacheControlsACLs" "StatCacheEngine" "StatCacheMaxAge" "StatCacheTable";
    Closes(NEVER, "authorities are read from one file; name it in [tls] client_ca") =>
        "TLSCACertificatePath";
    Closes(NEVER, "revoked certificates are not known here") =>
        "TLSCARevocationFile" "TLSCARevocationPath";
    Needless("only modern TLS is spoken, and it has nothing to be set there") =>
        "TLSCertificateChainFile" "TLSCipherSuite" "TLSControlsACLs" "TLSCryptoDevice" "TLSDHParamFile" "TLSECDHCurve" "TLSLog"
        "TLSMasqueradeAddress" "TLSNextProtocol" "TLSRandomSeed" "TLSRenegotiate" "TLSServerCipherPreference" "TLSServerInfoFile" "TLSSessionCache"
        "TLSSessionTicketKeys" "TLSSessionTickets" "TLSStaplingCache" "TLSStaplingOptions" "TLSStaplingResponder" "TLSStaplingTimeout"
        "TLSTimeoutHandshake" "TLSVerifyOrder" "TLSVerifyServer";
    Lacks(NEVER, "a certificate of RSA or ECDSA in PEM is needed") =>
        "TLSDSACertficateFile" "TLSDSACertificateFile" "TLSDSACertificateKeyFile" "TLSPKCS12File" "TLSPassPhraseProvider" "TLSPreSharedKey";
    Lacks(OFF, "the start of a file in the chain is not stapled") =>
        "TLSStapling";
    Lacks(NEVER, "a certificate does not take the place of a password") =>
        "TLSUserName";
    Closes(NEVER, "chains of certificates have no other limit than the authorities") =>
        "TLSVerifyDepth";
    Needless("sessions have numbers") =>
        "UniqueIDEngine";
    Closes(OFF, "tables of clients are not read; write [access] networks and deny_networks") =>
        "TCPAccessFiles" "TCPGroupAccessFiles" "TCPUserAccessFiles" "WrapEngine" "WrapGroupTables" "WrapTables" "WrapUserTables";
    Needless("it says more of TCPAccessFiles") =>
        "TCPAccessSyslogLevels" "TCPServiceName";
    Needless("it says more of WrapEngine") =>
        "WrapAllowMsg" "WrapDenyMsg" "WrapLog" "WrapOptions" "WrapServiceName";
    Closes(ON, "a root that is a link somebody else made is refused here, but others are followed") =>
        "AllowChrootSymlinks";
    Lacks(OFF, "an empty password is never accepted") =>
        "AllowEmptyPasswords";
    Needless("it closes nothing here") =>
        "AllowAll" "AllowAllow" "AnonAllowRobots" "AnonRejectPasswords" "AnonRequirePassword" "AnonymousGroup" "Bind" "Class" "CommandBufferSize"
        "DebugLevel" "DefaultServer" "DefaultTransferMode" "DeferWelcome" "Define" "FSCachePolicy" "FSOptions" "Global" "Group" "Include"
        "IncludeOptions" "MaxCommandRate" "MaxPasswordSize" "MultilineRFC2228" "PidFile" "ProcessTitles" "RegexOptions" "RewriteHome" "RootRevoke"
        "ScoreboardFile" "ScoreboardMutex" "ScoreboardScrub" "ServerAdmin" "ServerAlias" "ServerName" "SetEnv" "SocketBindTight" "SocketOptions"
        "StoreUniquePrefix" "SyslogFacility" "SyslogLevel" "TCPBackLog" "TCPNoDelay" "TimeoutLinger" "TimesGMT" "Trace" "TraceLog" "TraceOptions"
        "TransferLog" "TransferOptions" "TransferPriority" "UnsetEnv" "UseLastlog" "UseReverseDNS" "UseSendfile" "User" "WtmpLog";
    Closes(OFF, "only some names may log in by it; make accounts under these names") =>
        "AuthAliasOnly";
    Closes(NEVER, "not every user was asked for by it; the account file or PAM decides here") =>
        "AuthFileOptions" "AuthPAMOptions" "AuthUnixOptions" "AuthUsingAlias";
    Lacks(OFF, "a home that is not there refuses the login; [auth] pam_session may make it") =>
        "CreateHome";
    Lacks(NEVER, "sessions start at the root, or where the account says (user add --start)") =>
        "DefaultChdir";
    Lacks(OFF, "root never logs in") =>
        "RootLogin";
    Lacks(NEVER, "there is no such limit of time") =>
        "TimeoutNoTransfer" "TimeoutSession";
    Lacks(NEVER, "an account has one name") =>
        "UserAlias";
    Lacks(NEVER, "passwords are those of the account file or of PAM") =>
        "GroupPassword" "UserPassword";
    Needless("`bulkhead user import` takes accounts over") =>
        "AuthGroupFile";
    Needless("the user database is asked when somebody logs in") =>
        "PersistentPasswd";
    Needless("who holds which capability is fixed here") =>
        "CapabilitiesEngine" "CapabilitiesRootRevoke" "CapabilitiesSet";
    Closes(NEVER, "who may do what stands in <Limit>, and this line is in none") =>
        "Allow" "AllowClass" "AllowGroup" "AllowUser" "Deny" "DenyAll" "DenyClass" "DenyGroup" "DenyUser" "From" "Order" "Satisfy";
    Closes(NEVER, "arguments and paths are not matched with expressions") =>
        "AllowFilter" "PathAllowFilter" "PathDenyFilter";
    Lacks(OFF, "a data connection belongs to the client of its control connection") =>
        "AllowForeignAddress";
    Closes(OFF, ".ftpaccess files are not read, because clients could write them; what they refuse is not refused") =>
        "AllowOverride";
    Closes(NEVER, "the group of a file is the account's") =>
        "GroupOwner";
    Closes(OFF, "files are not hidden; rights are those of the account and of the file") =>
        "HideFiles" "HideGroup" "HideNoAccess" "HideUser" "IgnoreHidden";
    Lacks(NEVER, "a file belongs to the account that wrote it") =>
        "UserOwner";
    Needless("the running server is asked with `bulkhead`, through [admin_group]") =>
        "ControlsACLs" "ControlsAuthFreshness" "ControlsEngine" "ControlsInterval" "ControlsLog" "ControlsMaxClients" "ControlsSocket"
        "ControlsSocketACL" "ControlsSocketOwner";
    Needless("failed logins are answered late, see [auth] failure_delay") =>
        "DelayControlsACLs" "DelayEngine" "DelayOnEvent" "DelayTable";
    Needless("there are no modules") =>
        "LoadFile" "LoadModule" "ModuleControlsACLs" "ModuleOrder" "ModulePath";
    Needless("the kernel judges access lists") =>
        "FACLEngine";
    Needless("MLSD has the facts that it has") =>
        "FactsAdvertise" "FactsDefault" "FactsOptions";
    Needless("nobody is asked for a name by ident") =>
        "IdentLookups";
    Needless("replies are English") =>
        "LangDefault" "LangEngine" "LangOptions" "LangPath";
    Lacks(OFF, "names are UTF-8 or bytes as they are") =>
        "UseEncoding";
    Lacks(OFF, "owner, group and mode are shown as they are") =>
        "DirFakeGroup" "DirFakeMode" "DirFakeUser";
    Needless("listings have one form") =>
        "ListOptions" "ShowSymlinks" "UseGlobbing";
    Lacks(NEVER, "listings have one form") =>
        "ListStyle";
    Lacks(NEVER, "there is no FTP through a store of others") =>
        "MemcacheEngine" "RedisEngine";
    Needless("it says more of MemcacheEngine") =>
        "MemcacheLog" "MemcacheOptions" "MemcacheReplicas" "MemcacheServers" "MemcacheTimeouts";
    Needless("it says more of RedisEngine") =>
        "RedisLog" "RedisLogFormatExtra" "RedisLogOnCommand" "RedisLogOnEvent" "RedisOptions" "RedisSentinel" "RedisServer" "RedisTimeouts";
    Needless("limits of processes are fixed here") =>
        "RLimitCPU" "RLimitChroot" "RLimitMemory" "RLimitOpenFiles";
    Closes(ON, "retrieving from an offset cannot be refused") =>
        "AllowRetrieveRestart";
    Lacks(OFF, "an upload that failed stays, and is reported as failed; uploads = \"atomic\" leaves none") =>
        "DeleteAbortedStores";
    Closes(NEVER, "downloads have no largest size") =>
        "MaxRetrieveFileSize";
    Closes(NEVER, "modes of new files are umask and nothing else") =>
        "DirUmask";
    Closes(NEVER, "access to the command is for whoever may read and write") =>
        "UserDirRoot";
};
