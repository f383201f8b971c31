//! A client of FTPS on the wire: every handshake, ticket and close_notify by hand, so that a test
//! can leave one out.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};

use super::{Account, ControlConnection, KeyPair, Transport};

/// A TLS connection of a test client.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl Transport for TlsStream {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    /// Both.
    pub const BOTH: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];
}

/// What the connections of one client have in common: its settings, and the sessions it can resume.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: ClientConfig,
    name: ServerName<'static>,
}

impl TlsClient {
    /// A client that takes any certificate, and remembers sessions of its own alone.
    pub fn new(version: TlsVersion) -> TlsClient {
        let version = match version {
            TlsVersion::V1_2 => &TLS12,
            TlsVersion::V1_3 => &TLS13,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        TlsClient { config, name: ServerName::try_from("localhost").unwrap() }
    }

    /// Offers these protocols by ALPN.
    pub fn offering(mut self, protocols: &[&str]) -> TlsClient {
        self.config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        self
    }

    /// Asks for a server of this name.
    pub fn asking_for(mut self, name: &str) -> TlsClient {
        self.name = ServerName::try_from(name.to_owned()).unwrap();
        self
    }

    /// Shows this certificate when one is asked for.
    pub fn showing(mut self, pair: &KeyPair) -> TlsClient {
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(pair.key()).unwrap();
        let certified = rustls::sign::CertifiedKey::new(vec![pair.der.clone()], key);
        self.config.client_auth_cert_resolver =
            Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        self
    }

    /// Sends data before the handshake is over, if the server ever allows it.
    pub fn with_early_data(mut self) -> TlsClient {
        self.config.enable_early_data = true;
        self
    }

    /// The same client without what it remembers.
    pub fn forgetful(&self) -> TlsClient {
        let mut client = self.clone();
        client.config.resumption = Resumption::in_memory_sessions(8);
        client
    }

    /// A connection that has not begun its handshake.
    pub fn begin(&self, socket: TcpStream) -> TlsStream {
        let connection =
            ClientConnection::new(Arc::new(self.config.clone()), self.name.clone()).unwrap();
        StreamOwned::new(connection, socket)
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the server refuses, with its alert in the text, or closes.
    pub fn shake_hands(&self, socket: TcpStream) -> io::Result<TlsStream> {
        let mut stream = self.begin(socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

/// A client of FTPS: its control connection, and what its data connections resume.
pub struct FtpsClient {
    /// The control connection, under TLS.
    pub control: ControlConnection<TlsStream>,
    /// How it does TLS.
    pub tls: TlsClient,
}

impl FtpsClient {
    /// Connects, is greeted, and puts the control connection under TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn connect(server: SocketAddr, tls: TlsClient) -> io::Result<FtpsClient> {
        let mut control = ControlConnection::connect(server);
        control.expect(220);
        FtpsClient::secure(control, tls)
    }

    /// Puts a control connection under TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn secure(mut control: ControlConnection, tls: TlsClient) -> io::Result<FtpsClient> {
        control.command("AUTH TLS", 234);
        let stream = tls.shake_hands(control.into_transport())?;
        Ok(FtpsClient { control: ControlConnection::over(stream), tls })
    }

    /// Connects to a port of implicit TLS and is greeted.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn implicit(server: SocketAddr, tls: TlsClient) -> io::Result<FtpsClient> {
        let socket = ControlConnection::connect(server).into_transport();
        let mut control = ControlConnection::over(tls.shake_hands(socket)?);
        control.expect(220);
        Ok(FtpsClient { control, tls })
    }

    /// Connects, logs in, and has data connections protected.
    pub fn log_in(server: SocketAddr, account: &Account, version: TlsVersion) -> FtpsClient {
        let mut client = FtpsClient::connect(server, TlsClient::new(version)).unwrap();
        client.authenticate(account);
        client.protect();
        client
    }

    /// Sends name and password.
    pub fn authenticate(&mut self, account: &Account) {
        self.control.command(&format!("USER {}", account.name), 331);
        self.control.command(&format!("PASS {}", account.password), 230);
    }

    /// PBSZ 0, PROT P, TYPE I.
    pub fn protect(&mut self) {
        self.control.command("PBSZ 0", 200);
        self.control.command("PROT P", 200);
        self.control.command("TYPE I", 200);
    }

    /// Begins a transfer by a passive data connection: 150, and the socket before its handshake.
    pub fn begin(&mut self, command: &str) -> TcpStream {
        let socket = self.control.passive();
        self.control.command(command, 150);
        socket
    }

    /// Begins a transfer by a passive data connection, which resumes the control connection.
    pub fn open(&mut self, command: &str) -> TlsStream {
        let socket = self.begin(command);
        self.tls.shake_hands(socket).unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    /// Downloads; the command may be RETR or a listing. A missing close_notify is an error.
    pub fn download(&mut self, command: &str) -> Vec<u8> {
        let mut data = self.open(command);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{command}: {e}"));
        close(&mut data);
        self.control.expect(226);
        bytes
    }

    /// Uploads.
    pub fn upload(&mut self, command: &str, bytes: &[u8]) {
        let mut data = self.open(command);
        data.write_all(bytes).unwrap_or_else(|e| panic!("{command}: {e}"));
        close(&mut data);
        self.control.expect(226);
    }
}

/// Says that nothing more will be sent. A server that has gone already has heard enough.
fn close(data: &mut TlsStream) {
    data.conn.send_close_notify();
    data.flush().ok();
}

/// Takes any certificate, but checks that the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
