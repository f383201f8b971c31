//! A native client of I2FTP: requests out, replies in, and every step of the handshake by hand for
//! the tests that get one wrong.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{SystemTime, UNIX_EPOCH},
};

use i2ftp::{
    Psk, WireVersion, dynkey,
    iccode::{Coder, SESSION_LEVEL},
    message,
    packet::{Decoder, Event, MAX_MESSAGE, Wire},
    request::{Id, ask},
    secured,
};

use super::{Account, PATIENCE, Server};

/// The key of the servers under test, as the configuration writes it.
pub const KEY_HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A server under test that speaks I2FTP, and its root.
pub struct I2ftpServer {
    /// The server.
    pub server: Server,
    /// Whose files are beneath the root.
    pub exchange: Account,
}

impl I2ftpServer {
    /// A running server; `settings` are keys of `[i2ftp]` and values written as TOML.
    pub fn start(settings: &[(&str, &str)]) -> I2ftpServer {
        I2ftpServer::start_with(settings, |server| server)
    }

    /// The same, with more settings of the server.
    pub fn start_with(
        settings: &[(&str, &str)],
        more: impl FnOnce(Server) -> Server,
    ) -> I2ftpServer {
        let server = Server::new();
        let exchange = Account::make(server.scratch.path(), "exchange", 20_101);
        let root = format!("{:?}", exchange.root);
        let mut server = I2ftpServer::with_key(server).with("i2ftp.root", &root);
        for (key, value) in settings {
            server = server.with(&format!("i2ftp.{key}"), value);
        }
        I2ftpServer { server: more(server).run(), exchange }
    }

    /// Enables the service, with the key and on any port; it has no root and no account yet.
    pub fn with_key(server: Server) -> Server {
        server
            .with("i2ftp.enabled", "true")
            .with("i2ftp.listen_port", "0")
            .with("i2ftp.key_hex", &format!("\"{KEY_HEX}\""))
    }

    /// The same inside TLS alone, with a certificate made for it.
    pub fn start_inside_tls(settings: &[(&str, &str)]) -> I2ftpServer {
        I2ftpServer::start_with(settings, I2ftpServer::inside_tls)
    }

    /// Moves the service into TLS, with a certificate made for it.
    pub fn inside_tls(server: Server) -> Server {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        server
            .with_certificate()
            .with("i2ftp.plain", "false")
            .with("i2ftp.tls_port", &free.to_string())
    }

    /// Where it speaks I2FTP.
    pub fn address(&self) -> SocketAddr {
        I2ftpServer::address_of(&self.server)
    }

    /// Where a server speaks I2FTP: behind the port of FTP.
    pub fn address_of(server: &Server) -> SocketAddr {
        let serving = server.events("serving");
        let listening = serving.last().unwrap().get("listening").unwrap().as_str().unwrap();
        listening.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A client that has logged in.
    pub fn client(&self) -> I2ftpClient {
        I2ftpClient::log_in(self.address(), &key()).unwrap()
    }
}

/// The key of the servers under test.
pub fn key() -> Psk {
    Psk::from_hex(KEY_HEX).unwrap().0
}

/// A reply of the user layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct I2ftpReply {
    /// Its status.
    pub success: bool,
    /// What follows the comma.
    pub data: Vec<u8>,
}

/// A connected client.
pub struct I2ftpClient {
    /// The connection.
    pub stream: TcpStream,
    wire: Wire,
    decoder: Decoder,
    coders: Option<(Coder, Coder)>,
    input: Vec<u8>,
    id: u8,
}

impl I2ftpClient {
    /// Connects and does the first step of the handshake: the knock. Gives the nonce.
    ///
    /// # Errors
    /// When the server closes instead.
    pub fn knock(address: SocketAddr, key: &[u8; 16]) -> io::Result<(TcpStream, [u8; 64])> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(key)?;
        let mut nonce = [0; 64];
        stream.read_exact(&mut nonce)?;
        Ok((stream, nonce))
    }

    /// The whole handshake, and the start of the session in the mode the server announces.
    ///
    /// # Errors
    /// When the server closes instead.
    pub fn log_in(address: SocketAddr, psk: &Psk) -> io::Result<I2ftpClient> {
        let now = now();
        let knock = dynkey::knock(psk, dynkey::knock_unit(now));
        let (mut stream, nonce) = Self::knock(address, &knock)?;
        stream.write_all(&dynkey::proof(psk, &nonce, dynkey::proof_unit(now)))?;
        let mut version = [0; 3];
        stream.read_exact(&mut version)?;
        stream.write_all(message::VERSION_OK)?;
        let version = WireVersion::from_name(std::str::from_utf8(&version).unwrap()).unwrap();
        let wire = Wire { version, psk: psk.clone() };
        let decoder = Decoder::new(wire.clone(), MAX_MESSAGE);
        let mut client =
            I2ftpClient { stream, wire, decoder, coders: None, input: Vec::new(), id: 0 };
        let mode = client.receive()?;
        if mode.starts_with(message::SECURED_MODE) {
            let session_key = [0x2f; secured::SESSION_KEY_BYTES];
            client.send(&secured::accept(&mode, &session_key).unwrap())?;
            assert_eq!(client.receive()?, message::CODER_READY);
            let coder = Coder::new(&session_key, SESSION_LEVEL);
            client.coders = Some((coder.clone(), coder));
        } else {
            assert_eq!(mode, message::PLAIN_MODE);
        }
        assert_eq!(client.receive()?, message::GREETING);
        Ok(client)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut message = message.to_vec();
        if let Some((_, sending)) = &mut self.coders {
            sending.reset();
            sending.encode(&mut message);
        }
        self.id = self.id.wrapping_add(1);
        self.stream.write_all(&self.wire.packets(message, self.id).unwrap().to_vec())
    }

    /// Receives a message; heartbeats are passed over.
    ///
    /// # Errors
    /// When the connection ends or nothing comes.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut rest = self.input.as_slice();
            let event = self.decoder.take(&mut rest).unwrap();
            let rest = rest.to_vec();
            self.input = rest;
            if event == Some(Event::Message) {
                let mut message = self.decoder.message().to_vec();
                if let Some((receiving, _)) = &mut self.coders {
                    receiving.reset();
                    receiving.decode(&mut message);
                }
                return Ok(message);
            }
            if self.input.is_empty() {
                let mut buffer = vec![0; 256 * 1024];
                let read = self.stream.read(&mut buffer)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                buffer.truncate(read);
                self.input = buffer;
            }
        }
    }

    /// Receives a reply.
    ///
    /// # Errors
    /// When the connection ends or nothing comes.
    pub fn reply(&mut self) -> io::Result<I2ftpReply> {
        let message = self.receive()?;
        let (status, data) = message.split_at(2);
        assert!(matches!(status, [0 | 1, b',']), "no reply: {message:?}");
        Ok(I2ftpReply { success: status[0] == 1, data: data.to_vec() })
    }

    /// A request and its reply.
    pub fn request(&mut self, request: &[u8]) -> I2ftpReply {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        self.send(request).unwrap_or_else(|e| panic!("{shown:?} cannot be sent: {e}"));
        self.reply().unwrap_or_else(|e| panic!("no reply to {shown:?}: {e}"))
    }

    /// A request that succeeds, and its data.
    pub fn granted(&mut self, request: &[u8]) -> Vec<u8> {
        let reply = self.request(request);
        let text = String::from_utf8_lossy(&reply.data).into_owned();
        assert!(reply.success, "to {:?}: {text}", String::from_utf8_lossy(request));
        reply.data
    }

    /// A request that is refused, and the text.
    pub fn refused(&mut self, request: &[u8]) -> String {
        let reply = self.request(request);
        assert!(!reply.success, "{:?} was granted", String::from_utf8_lossy(request));
        String::from_utf8(reply.data).unwrap()
    }

    /// GETF or PULF.
    pub fn begin(&mut self, command: &[u8; 4], path: &str) -> Id {
        self.granted(&ask::path(command, path)).try_into().unwrap()
    }

    /// Everything of an open download from `start` to the end of the file.
    pub fn download(&mut self, id: &Id, start: u64, size: u64) -> Vec<u8> {
        self.send(&ask::download(id, start, 0)).unwrap();
        let mut bytes = Vec::new();
        loop {
            let reply = self.reply().unwrap();
            assert!(reply.success, "{}", String::from_utf8_lossy(&reply.data));
            let (at, data) = reply.data.split_at(9);
            assert_eq!(at[..8], (start + bytes.len() as u64).to_le_bytes());
            bytes.extend_from_slice(data);
            if bytes.len() as u64 >= size - start {
                return bytes;
            }
        }
    }

    /// Uploads bytes from an offset on, in pieces as the real client sends them.
    pub fn upload(&mut self, id: &Id, offset: u64, bytes: &[u8]) {
        let mut at = offset;
        for piece in bytes.chunks(i2ftp::CHUNK) {
            at += piece.len() as u64;
            let position = self.granted(&ask::upload(id, at - piece.len() as u64, piece));
            assert_eq!(position, at.to_le_bytes());
        }
    }

    /// Whether the server closes the connection without another word.
    pub fn is_closed(&mut self) -> bool {
        match self.receive() {
            Ok(message) => panic!("a message instead of the end: {message:?}"),
            Err(e) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

/// The time as the protocol has it.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
