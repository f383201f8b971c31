//! The replies whose words are always the same, in the order of their codes' meaning.

use ipc::reason::Reason;

use super::Reply;

/// Replies whose words are always the same.
#[rustfmt::skip]
#[allow(missing_docs, reason = "the words say it")]
impl Reply {
    pub const OPENING_DATA: Reply = Reply::fixed(150, "Opening the data connection.");
    pub const USING_DATA: Reply = Reply::fixed(125, "Data connection open; the transfer starts.");

    pub const NOOP: Reply = Reply::fixed(200, "NOOP done.");
    pub const PORT: Reply = Reply::fixed(200, "PORT done.");
    pub const EPRT: Reply = Reply::fixed(200, "EPRT done.");
    pub const EPSV_ALL: Reply = Reply::fixed(200, "EPSV ALL: no PORT, PASV or EPRT from now on.");
    pub const TYPE_ASCII: Reply = Reply::fixed(200, "Type is ASCII.");
    pub const TYPE_BINARY: Reply = Reply::fixed(200, "Type is binary.");
    pub const STRUCTURE: Reply = Reply::fixed(200, "Structure is file.");
    pub const MODE: Reply = Reply::fixed(200, "Mode is stream.");
    pub const UTF8: Reply = Reply::fixed(200, "UTF8 is on.");
    pub const LANGUAGE: Reply = Reply::fixed(200, "Replies are in English.");
    pub const CLIENT_NOTED: Reply = Reply::fixed(200, "Noted.");
    pub const CLIENT_IDENTITY: Reply = Reply::fixed(200, "Name=Bulkhead;");
    pub const PBSZ: Reply = Reply::fixed(200, "PBSZ=0");
    pub const PROT_CLEAR: Reply = Reply::fixed(200, "Data connections are plain.");
    pub const PROT_PRIVATE: Reply = Reply::fixed(200, "Data connections are TLS.");
    pub const ALLOCATED: Reply = Reply::fixed(200, "So much fits.");
    pub const MODE_CHANGED: Reply = Reply::fixed(200, "Mode changed.");
    pub const TIMES_CHANGED: Reply = Reply::fixed(200, "Times changed.");
    pub const LINK_MADE: Reply = Reply::fixed(200, "Link made.");
    pub const RANGE_FORGOTTEN: Reply = Reply::fixed(350, "The range is forgotten.");

    pub const SYSTEM: Reply = Reply::fixed(215, "UNIX Type: L8");
    pub const HOST: Reply = Reply::fixed(220, "Host noted; log in.");
    pub const REINITIALIZED: Reply = Reply::fixed(220, "Begun anew; log in.");
    pub const GOODBYE: Reply = Reply::fixed(221, "Goodbye.");
    pub const NOTHING_TO_ABORT: Reply = Reply::fixed(226, "No transfer was running.");
    pub const ABORTED: Reply = Reply::fixed(226, "ABOR done.");
    pub const COMPLETE: Reply = Reply::fixed(226, "Transfer complete.");
    pub const LISTED: Reply = Reply::fixed(226, "Listing complete.");
    pub const AUTH_TLS: Reply = Reply::fixed(234, "Begin TLS.");
    pub const DIRECTORY_CHANGED: Reply = Reply::fixed(250, "Directory changed.");
    pub const DIRECTORY_REMOVED: Reply = Reply::fixed(250, "Directory removed.");
    pub const DELETED: Reply = Reply::fixed(250, "Deleted.");
    pub const RENAMED: Reply = Reply::fixed(250, "Renamed.");

    pub const NEED_PASSWORD: Reply = Reply::fixed(331, "Password, please.");
    pub const NEED_PASSWORD_ANONYMOUS: Reply = Reply::fixed(331, "Anonymous: your mail address as password, please.");
    pub const NEED_SECOND_FACTOR: Reply = Reply::fixed(332, "Code, please: ACCT and the six digits.");
    pub const RENAME_TO: Reply = Reply::fixed(350, "RNTO with the new name, please.");

    pub const IDLE: Reply = Reply::fixed(421, "No command for too long; goodbye.");
    pub const LOGIN_TIMEOUT: Reply = Reply::fixed(421, "Not logged in in time; goodbye.");
    pub const NOT_FTP: Reply = Reply::fixed(421, "This is not FTP; goodbye.");
    pub const SHUTTING_DOWN: Reply = Reply::fixed(421, "The server is going down; goodbye.");
    pub const INTERNAL: Reply = Reply::fixed(421, "The server failed; connect anew.");
    pub const AUTH_PIPELINED: Reply = Reply::fixed(421, "Nothing may follow AUTH before the handshake; goodbye.");

    pub const NO_DATA_CONNECTION: Reply = Reply::refused(425, "PORT, PASV, EPRT or EPSV first.", Reason::NoDataConnection);
    pub const CLIENT_DID_NOT_CONNECT: Reply = Reply::fixed(425, "The data connection was not made in time.");
    pub const HELPER_GONE: Reply = Reply::refused(425, "Data connections are not available at the moment; try again.", Reason::NoDataConnection);
    pub const DATA_TLS_FAILED: Reply = Reply::fixed(425, "The TLS handshake of the data connection failed.");
    pub const DATA_TLS_BROKEN: Reply = Reply::fixed(426, "The TLS of the data connection broke; the transfer is incomplete.");
    pub const DATA_TLS_NOT_RESUMED: Reply = Reply::fixed(522, "The data connection must resume the TLS session of the control connection.");
    pub const TRANSFER_ABORTED: Reply = Reply::fixed(426, "Transfer aborted.");
    pub const CLIENT_CLOSED_DATA: Reply = Reply::fixed(426, "The data connection was closed before the end.");
    pub const DATA_STALLED: Reply = Reply::fixed(426, "The data connection has stalled for too long.");
    pub const UPLOAD_TRUNCATED: Reply = Reply::fixed(426, "The upload ended without close_notify: it is incomplete.");

    pub const FILE_CHANGED: Reply = Reply::fixed(451, "The file has become shorter during the transfer.");
    pub const TOO_MANY_ENTRIES: Reply = Reply::fixed(451, "More entries than a listing may have: the listing is incomplete.");
    pub const NO_ROOM: Reply = Reply::refused(452, "So much does not fit.", Reason::NoSpace);

    pub const UNKNOWN: Reply = Reply::fixed(500, "Unknown command.");
    pub const NOT_IMPLEMENTED: Reply = Reply::fixed(502, "Not implemented here; HELP names the commands that are.");
    pub const LOGIN_STAYS: Reply = Reply::fixed(502, "A login cannot be undone here: QUIT, and connect anew.");
    pub const EMPTY: Reply = Reply::fixed(500, "A command is needed.");
    pub const LINE_TOO_LONG: Reply = Reply::fixed(500, "The line is longer than 4096 bytes.");
    pub const NUL: Reply = Reply::fixed(501, "The line contains a NUL byte.");
    pub const LONE_CR: Reply = Reply::fixed(501, "The line contains a CR that is not part of its end.");
    pub const SIZE_IN_ASCII: Reply = Reply::fixed(550, "SIZE is not given in TYPE A: TYPE I first.");
    pub const REST_IN_ASCII: Reply = Reply::refused(550, "REST is not possible in TYPE A: TYPE I first.", Reason::BadOffset);
    pub const TLS_NOT_CONFIGURED: Reply = Reply::fixed(502, "TLS is not configured here.");
    pub const NO_SECURITY_DATA: Reply = Reply::fixed(503, "TLS needs no ADAT.");
    pub const COMMAND_PROTECTION: Reply = Reply::fixed(533, "TLS protects all commands; none is protected by itself.");
    pub const CCC_REFUSED: Reply = Reply::fixed(534, "The control connection stays TLS.");
    pub const PROT_NEEDS_TLS: Reply = Reply::fixed(503, "AUTH TLS first.");
    pub const PROT_NEEDS_PBSZ: Reply = Reply::fixed(503, "PBSZ 0 first.");
    pub const PROT_LEVEL: Reply = Reply::fixed(536, "Only PROT C and PROT P are possible with TLS.");
    pub const PROT_PRIVATE_DEMANDED: Reply = Reply::fixed(534, "Data connections must be TLS here: PROT P.");
    pub const DATA_MUST_BE_TLS: Reply = Reply::refused(521, "Data connections must be TLS here: PROT P first.", Reason::TlsDemanded);
    pub const ALREADY_TLS: Reply = Reply::fixed(503, "The control connection is TLS already.");
    pub const LOGIN_NEEDS_TLS: Reply = Reply::fixed(530, "AUTH TLS first.");
    pub const ONLY_EPSV: Reply = Reply::fixed(503, "After EPSV ALL only EPSV is possible.");
    pub const USER_FIRST: Reply = Reply::fixed(503, "USER first.");
    pub const PASS_FIRST: Reply = Reply::fixed(503, "USER and PASS first.");
    pub const RNFR_FIRST: Reply = Reply::fixed(503, "RNFR first.");
    pub const HOST_AFTER_USER: Reply = Reply::fixed(503, "HOST comes before USER.");
    pub const LOGGED_IN_ALREADY: Reply = Reply::fixed(503, "Logged in already.");
    pub const TRANSFER_RUNS: Reply = Reply::fixed(503, "A transfer is running.");
    pub const HOST_UNKNOWN: Reply = Reply::fixed(504, "No such host here.");
    pub const NOT_THE_ADMINISTRATOR: Reply = Reply::refused(550, "Only an administrator is told.", Reason::NoRight);
    pub const APPEND_AFTER_REST: Reply = Reply::refused(550, "REST and APPE do not go together.", Reason::BadOffset);
    pub const STOU_AFTER_REST: Reply = Reply::refused(550, "REST and STOU do not go together.", Reason::BadOffset);
    pub const ATOMIC_GOES_ON: Reply = Reply::refused(550, "Uploads are atomic here: to go on with a file, your account must be allowed to read and to replace it.", Reason::NoRight);
    pub const BEYOND_END: Reply = Reply::refused(554, "The offset is beyond the end of the file.", Reason::BadOffset);
    pub const MLSD_OF_A_FILE: Reply = Reply::refused(501, "MLSD lists a directory, and this is none: use MLST.", Reason::NotDirectory);
    pub const RANGE_BEYOND_END: Reply = Reply::refused(551, "The range is beyond the end of the file.", Reason::BadOffset);
    pub const PORT_BOUNCE: Reply = Reply::fixed(504, "Data connections go to the client's own address only, ports from 1024 on.");
    pub const PASV_NEEDS_IPV4: Reply = Reply::fixed(522, "PASV is for IPv4; use EPSV.");
    pub const PORT_NEEDS_IPV4: Reply = Reply::fixed(522, "PORT is for IPv4; use EPRT.");
    pub const FAMILY_V4_ONLY: Reply = Reply::fixed(522, "Network protocol not supported, use (1).");
    pub const FAMILY_V6_ONLY: Reply = Reply::fixed(522, "Network protocol not supported, use (2).");
    pub const NOT_LOGGED_IN: Reply = Reply::fixed(530, "Log in with USER and PASS.");
    pub const LOGIN_REFUSED: Reply = Reply::fixed(530, "Login failed.");
    pub const RIGHT_MISSING: Reply = Reply::refused(550, "Your account is not allowed to do this.", Reason::NoRight);
    pub const OVERWRITE_REFUSED: Reply = Reply::refused(553, "The file exists, and your account is not allowed to replace it.", Reason::NoOverwrite);
    pub const FILE_SIZE_LIMIT: Reply = Reply::refused(552, "The file is larger than your account is allowed.", Reason::TooLarge);
    pub const IDLE_TOO_LONG: Reply = Reply::fixed(501, "The time can be made shorter only.");
}
