//! The bytes of one example of each message of each channel. Processes of two versions may speak with
//! each other during an upgrade, so bytes that change need a new epoch of their channel: raise `EPOCH`
//! in its file, then write the golden file anew with `BULKHEAD_GOLDEN=write cargo test -p bulkhead-ipc
//! --test golden`. A new variant is appended, and its line is added the same way, without a new epoch.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fmt::Write, net::SocketAddr, time::Duration};

use ipc::{
    Message,
    account::{Account, Identity, Limits, Rights, SessionId, TlsDemand, Uploads},
    authenticator::{self, Attempt, AuthSettings, Backend, Verdict},
    bounded::{Bytes, Secret, UserName},
    codec,
    gate::{self, AuthResult, Certificate, GateClosed, GateSettings, GateTls, Protection, Service},
    helper::{self, Refusal},
    keeper::{self, CertificateFile, KeyId},
    operator::{self, KickTarget},
    process::{Confinement, LandlockDemand, LockdownFailure, SandboxReport},
    session::{self, Event, FtpSettings, SessionBoot, SessionClosed, TicketAnswer},
    tls_facts::TlsFacts,
};

/// Where the bytes are kept.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");

fn bytes<const N: usize>(text: &str) -> Bytes<N> {
    Bytes::try_from(text.as_bytes().to_vec()).unwrap()
}

fn name(text: &str) -> UserName {
    UserName::try_from(text.to_owned()).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::try_from(text.as_bytes().to_vec()).unwrap()
}

fn address() -> SocketAddr {
    "192.0.2.7:4000".parse().unwrap()
}

fn identity() -> Identity {
    Identity { uid: 1000, gid: 1001, groups: vec![4, 24] }
}

fn confinement() -> Confinement {
    Confinement { identity: Some(identity()), landlock: LandlockDemand::Strict }
}

fn report() -> SandboxReport {
    SandboxReport {
        landlock_abi: 6,
        landlock_missing: vec!["scope_signal".into()],
        system_calls: 16,
        securebits: 0x2f,
    }
}

fn failure() -> LockdownFailure {
    LockdownFailure { layer: "seccomp".into(), reason: "why".into() }
}

fn tls() -> GateTls {
    GateTls {
        certificates: vec![Certificate {
            key: KeyId(3),
            chain: vec![bytes("leaf")],
            schemes: vec![0x0403],
            names: vec!["example.org".into()],
        }],
        demand: TlsDemand::Control,
        only_tls13: true,
        require_extended_master_secret: true,
        names: vec!["example.org".into()],
        client_ca: vec![bytes("ca")],
        client_certificate_required: false,
    }
}

fn limits() -> Limits {
    Limits {
        upload_rate: 1,
        download_rate: 2,
        idle_ctrl_timeout: 3,
        idle_data_timeout: 4,
        accept_timeout: 5,
        connect_timeout: 6,
        commands_per_second: 7,
        listing_entries: 8,
        file_size: 9,
    }
}

fn account() -> Account {
    Account {
        name: name("alice"),
        identity: identity(),
        root: "/srv/alice".into(),
        start: "/in".into(),
        rights: Rights::READ_ONLY,
        upload_rate: Some(10),
        download_rate: None,
        max_sessions: 2,
        tls: Some(TlsDemand::ControlAndData),
        session_reuse: Some(false),
        administrator: true,
        anonymous: false,
    }
}

fn tls_facts() -> TlsFacts {
    TlsFacts { version: 0x0304, cipher: 0x1301, group: 0x11ec, extended_master_secret: true }
}

fn protection() -> Protection {
    Protection::Tls {
        resumption: vec![(bytes("key"), bytes("value"))],
        private_data: true,
        pbsz: true,
    }
}

fn boot_of_session() -> SessionBoot {
    SessionBoot {
        confinement: confinement(),
        session: SessionId(7),
        account: account(),
        limits: limits(),
        umask: 0o077,
        service: Service::FtpsImplicit,
        client: address(),
        local: address(),
        ftp: FtpSettings {
            uploads: Uploads::Atomic,
            sync_uploads: true,
            passive_address: Some([192, 0, 2, 1].into()),
            welcome: "hello".into(),
        },
        tls: Some(session::SessionTls {
            tls: tls(),
            require_session_reuse: true,
            require_close_notify: true,
        }),
        i2ftp: Some(session::I2ftpSettings {
            key: secret("psk"),
            wire_version: "2.2".into(),
            secured: true,
            pulf_hash: false,
            pctl: Some(12),
        }),
    }
}

fn settings_of_authenticator() -> AuthSettings {
    AuthSettings {
        backends: vec![Backend::File, Backend::Pam],
        users_file: "/etc/users.toml".into(),
        state_directory: "/var/lib/x".into(),
        pam_service: "bulkhead".into(),
        allow_groups: vec!["ftp".into()],
        deny_users: vec!["root".into()],
        allow_users: vec!["alice".into()],
        minimum_uid: 1000,
        valid_shell: true,
        pam_session: false,
        pam_rights: Rights::READ_WRITE,
    }
}

fn attempt(attempt: Attempt) -> authenticator::SupervisorToAuthenticator {
    authenticator::SupervisorToAuthenticator::Attempt {
        confinement: confinement(),
        settings: settings_of_authenticator(),
        client: address().ip(),
        tls: true,
        attempt,
    }
}

fn supervisor_to_gate() -> Vec<gate::SupervisorToGate> {
    use gate::SupervisorToGate::*;
    let settings = GateSettings {
        banner: "banner".into(),
        idle_ctrl_timeout: 300,
        login_timeout: 60,
        commands_per_second: 7,
        tls: Some(tls()),
    };
    let (session, client, local) = (SessionId(7), address(), address());
    vec![
        Boot { confinement: confinement(), settings },
        Serve { session, client, local, service: Service::I2ftpTls },
        AuthResult(gate::AuthResult::Expired("text".into())),
        BecomeRelay,
        End { reply: "421 bye".into() },
        Authenticator,
        KeeperChannel,
        NotAvailable,
    ]
}

fn gate_to_supervisor() -> Vec<gate::GateToSupervisor> {
    use gate::GateToSupervisor::*;
    vec![
        Ready(report()),
        Failed(failure()),
        Authenticate {
            user: name("alice"),
            tls: Some(tls_facts()),
            host: Some(bytes("example.org")),
            client_name: Some(bytes("alice")),
        },
        MalformedLogin,
        SecondFactor,
        I2ftpKnock { key: [7; 16] },
        I2ftpProof { proof: bytes("proof"), tls: None },
        Handover { unread: bytes("PWD\r\n"), protection: protection() },
        Closed(GateClosed::Tls("why".into())),
        NeedKeeper,
    ]
}

fn supervisor_to_session() -> Vec<session::SupervisorToSession> {
    use session::SupervisorToSession::*;
    vec![
        Boot(Box::new(boot_of_session())),
        Control { unread: bytes("PWD\r\n"), protection: protection() },
        HelperChannel,
        KeeperChannel,
        NotAvailable,
        NewLimits(limits()),
        Kick { reply: "421 bye".into() },
        Finish { reply: "421 bye".into() },
        WhoLines(vec!["7 alice".into()]),
        Ticket(TicketAnswer::Issued { id: [7; 16] }),
    ]
}

fn session_to_supervisor() -> Vec<session::SessionToSupervisor> {
    use session::SessionToSupervisor::*;
    let publish = Some(session::Publish { temporary: bytes("tmp"), md5: [9; 16] });
    let notice = Event::Notice("odd".into());
    vec![
        Ready(report()),
        Failed(failure()),
        Events(vec![notice]),
        NeedHelper,
        NeedKeeper,
        Who,
        IssueTicket { path: bytes("a/b"), upload: true, size: 9, publish },
        RedeemTicket { id: [7; 16] },
        CloseTicket { id: [7; 16] },
        Closed(SessionClosed::Failed("why".into())),
    ]
}

fn supervisor_to_helper() -> Vec<helper::SupervisorToHelper> {
    use helper::SupervisorToHelper::*;
    let (client, local) = (address().ip(), address().ip());
    vec![
        Boot { confinement: confinement(), from_port_20: true },
        Listen { address: address() },
        Attach {
            session: SessionId(7),
            client,
            local,
            ports: (40_000, 41_000),
            connect_timeout: 300,
        },
        Detach { session: SessionId(7) },
        Ping,
    ]
}

fn helper_to_supervisor() -> Vec<helper::HelperToSupervisor> {
    use helper::HelperToSupervisor::*;
    vec![
        Ready { report: report(), low_ports: true },
        Failed(failure()),
        Listening,
        NotListening { errno: 98 },
        Violation { session: SessionId(7), what: "what".into() },
        Pong,
    ]
}

fn session_to_helper() -> Vec<helper::SessionToHelper> {
    use helper::SessionToHelper::*;
    vec![Listen, Connect { to: address() }, Cancel]
}

fn helper_to_session() -> Vec<helper::HelperToSession> {
    use helper::HelperToSession::*;
    vec![Listening { port: 40_000 }, Connected, Refused(Refusal::Network(113))]
}

fn supervisor_to_keeper() -> Vec<keeper::SupervisorToKeeper> {
    use keeper::SupervisorToKeeper::*;
    vec![
        Boot { confinement: confinement() },
        Load { key: KeyId(3) },
        Forget { key: KeyId(3) },
        Retire,
        Attach { session: SessionId(7), signatures: 1, tls12: true },
        Ping,
    ]
}

fn sign() -> Vec<keeper::Sign> {
    vec![keeper::Sign::Sign { key: KeyId(3), scheme: 0x0403, tls13: true, input: bytes("in") }]
}

fn signed() -> Vec<keeper::Signed> {
    vec![keeper::Signed::Signature(bytes("out")), keeper::Signed::Refused]
}

fn authenticator_to_supervisor() -> Vec<authenticator::AuthenticatorToSupervisor> {
    use authenticator::AuthenticatorToSupervisor::*;
    vec![
        Ready(report()),
        Failed(failure()),
        Warning("what".into()),
        Verdict(authenticator::Verdict::Granted(account())),
    ]
}

fn request() -> Vec<operator::Request> {
    use operator::Request::*;
    vec![
        Status,
        Sessions,
        Kick(KickTarget::Account("alice".into())),
        Reload,
        Drain,
        Penalties,
        ClearPenalties(Some("192.0.2.7".into())),
        Processes,
    ]
}

/// One line for each example: `channel/variant hex`. The examples must be one of each variant, in order.
fn golden<M: Message>(text: &mut String, channel: &str, epoch: u32, examples: &[M]) {
    writeln!(text, "{channel} epoch {epoch}").unwrap();
    for (index, example) in examples.iter().enumerate() {
        let mut encoded = Vec::new();
        codec::encode(example, &mut encoded).unwrap();
        assert_eq!(usize::from(encoded[0]), index, "{channel}: an example of variant {index}");
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{channel}/{index} {hex}").unwrap();
    }
    let beyond = u8::try_from(examples.len()).unwrap();
    let refused = codec::decode::<M>(&[beyond, 0, 0, 0]).map(drop).unwrap_err();
    let known = refused.contains("VariantNotFound") || refused.contains("UnexpectedVariant");
    let known = known || refused.contains("ariant") || refused.contains("expected variant index");
    assert!(known, "{channel}: variant {beyond} has no example here: {refused}");
}

/// Examples of what is nested in a message and has variants of its own.
fn nested() -> Vec<authenticator::SupervisorToAuthenticator> {
    let (user, canonical) = (name("alice"), name("alice"));
    vec![
        attempt(Attempt::Password { user: user.clone(), client_name: Some(bytes("alice")) }),
        attempt(Attempt::SecondFactor { user: user.clone(), canonical }),
        attempt(Attempt::OpenSession { user: user.clone() }),
        attempt(Attempt::CloseSession { user }),
        attempt(Attempt::I2ftpKnock { psk: secret("psk"), key: [7; 16] }),
        attempt(Attempt::I2ftpProof {
            psk: secret("psk"),
            nonce: bytes("nonce"),
            proof: bytes("proof"),
            account: authenticator::I2ftpAccount {
                account: Some("alice".into()),
                root: Some("/srv".into()),
                read_only: true,
            },
        }),
    ]
}

fn all() -> String {
    let mut text = String::new();
    golden(&mut text, "supervisor-gate", gate::EPOCH, &supervisor_to_gate());
    golden(&mut text, "gate-supervisor", gate::EPOCH, &gate_to_supervisor());
    golden(&mut text, "supervisor-session", session::EPOCH, &supervisor_to_session());
    golden(&mut text, "session-supervisor", session::EPOCH, &session_to_supervisor());
    golden(&mut text, "supervisor-helper", helper::EPOCH, &supervisor_to_helper());
    golden(&mut text, "helper-supervisor", helper::EPOCH, &helper_to_supervisor());
    golden(&mut text, "session-helper", helper::EPOCH, &session_to_helper());
    golden(&mut text, "helper-session", helper::EPOCH, &helper_to_session());
    golden(&mut text, "supervisor-keeper", keeper::EPOCH, &supervisor_to_keeper());
    golden(&mut text, "worker-keeper", keeper::EPOCH, &sign());
    golden(&mut text, "keeper-worker", keeper::EPOCH, &signed());
    let epoch = authenticator::EPOCH;
    golden(&mut text, "authenticator-supervisor", epoch, &authenticator_to_supervisor());
    golden(&mut text, "supervisor-authenticator", epoch, &nested()[..1]);
    golden(&mut text, "command-supervisor", operator::EPOCH, &request());
    for (index, example) in nested().iter().enumerate() {
        let mut encoded = Vec::new();
        codec::encode(example, &mut encoded).unwrap();
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "attempt/{index} {hex}").unwrap();
    }
    text
}

#[test]
fn the_bytes_of_every_message_are_those_of_its_epoch() {
    let text = all();
    if std::env::var_os("BULKHEAD_GOLDEN").is_some_and(|word| word == "write") {
        std::fs::write(FILE, &text).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap();
    for (now, then) in text.lines().zip(kept.lines()) {
        assert_eq!(now, then, "the wire has changed: raise EPOCH of this channel (see above)");
    }
    assert_eq!(text.lines().count(), kept.lines().count(), "a message came or went");
}

#[test]
fn the_times_of_messages_are_what_they_were() {
    // Duration is serde's, and travels as seconds and nanoseconds.
    let mut encoded = Vec::new();
    codec::encode(&Duration::new(300, 7), &mut encoded).unwrap();
    assert_eq!(encoded, [251, 44, 1, 7]);
    let unused = (AuthResult::Granted, Verdict::SessionOpened, CertificateFile::Certificate);
    drop(unused);
}
