//! A connection, plain or TLS.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use xtask::command::Done;

/// A connection.
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Makes the handshake. One that knows a session resumes it.
    pub fn tls(socket: TcpStream, configuration: &Arc<ClientConfig>) -> Done<Stream> {
        let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
        let mut connection =
            ClientConnection::new(configuration.clone(), name).map_err(|e| e.to_string())?;
        // Large pieces: the benchmark measures the server and not its client.
        connection.set_buffer_limit(Some(1 << 20));
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| format!("handshake: {e}"))?;
        }
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Ends an upload: with TLS by close_notify, then by FIN; then waits for the server's end.
    pub fn close(mut self) -> Done<()> {
        if let Stream::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            stream.flush().map_err(|e| e.to_string())?;
            stream.sock.shutdown(Shutdown::Write).map_err(|e| e.to_string())?;
            // What the server still sends (tickets, its close_notify) is read, so that closing
            // resets nothing.
            drop(io::copy(&mut stream.sock, &mut io::sink()));
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            // A server that closes without close_notify (ProFTPD does) has ended all the same.
            Stream::Tls(stream) => match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                result => result,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// What a client of the benchmark speaks: TLS as rustls prefers it (1.3, AES-256-GCM), with a
/// memory of sessions of its own.
pub fn configuration() -> Done<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let configuration = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OwnServers(provider)))
        .with_no_client_auth();
    Ok(Arc::new(configuration))
}

/// Accepts any certificate: the servers are those that the benchmark has just started.
#[derive(Debug)]
struct OwnServers(Arc<CryptoProvider>);

impl ServerCertVerifier for OwnServers {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
