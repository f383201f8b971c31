//! The load generator: the I2FTP of the crate `i2ftp` over a blocking socket.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use i2ftp::{
    CHUNK, Psk, WireVersion, dynkey,
    iccode::{Coder, SESSION_LEVEL},
    message,
    packet::{Decoder, Event, MAX_MESSAGE, Wire},
    reply::DOWNLOAD_PREFIX,
    request::{Id, ask},
    secured,
};

use xtask::command::Done;

/// Uploads not yet answered, at most; the Python client has as many on their way.
const AHEAD: usize = 6;

/// A client that has logged in.
pub struct Client {
    stream: TcpStream,
    wire: Wire,
    decoder: Decoder,
    /// Secured mode: receiving and sending.
    coders: Option<(Coder, Coder)>,
    input: Vec<u8>,
    unread: std::ops::Range<usize>,
}

fn failed(e: impl std::fmt::Display) -> String {
    format!("the native client: {e}")
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When the server does not let it in.
    pub fn log_in(port: u16, key_hex: &str) -> Done<Client> {
        let (psk, _) = Psk::from_hex(key_hex).map_err(failed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(failed)?.as_secs_f64();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
        stream.write_all(&dynkey::knock(&psk, dynkey::knock_unit(now))).map_err(failed)?;
        let mut nonce = [0; dynkey::NONCE_BYTES];
        stream.read_exact(&mut nonce).map_err(failed)?;
        let proof = dynkey::proof(&psk, &nonce, dynkey::proof_unit(now));
        stream.write_all(&proof).map_err(failed)?;
        let mut version = [0; WireVersion::BYTES];
        stream.read_exact(&mut version).map_err(failed)?;
        stream.write_all(message::VERSION_OK).map_err(failed)?;
        let version = std::str::from_utf8(&version).ok().and_then(WireVersion::from_name);
        let wire = Wire { version: version.ok_or_else(|| failed("another version"))?, psk };
        let decoder = Decoder::new(wire.clone(), MAX_MESSAGE);
        let input = vec![0; 256 * 1024];
        let mut client = Client { stream, wire, decoder, coders: None, input, unread: 0..0 };
        let mode = client.receive()?.to_vec();
        if mode.starts_with(message::SECURED_MODE) {
            let key = [0x2f; secured::SESSION_KEY_BYTES];
            client.send(secured::accept(&mode, &key).map_err(failed)?)?;
            client.receive()?;
            let coder = Coder::new(&key, SESSION_LEVEL);
            client.coders = Some((coder.clone(), coder));
        }
        match client.receive()? {
            message::GREETING => Ok(client),
            _ => Err(failed("no greeting")),
        }
    }

    /// Downloads a file of so many bytes, to nowhere, and closes the session.
    ///
    /// # Errors
    /// When the server sends something else.
    pub fn download(&mut self, path: &str, bytes: usize) -> Done<()> {
        let id = self.begin(b"GETF", path)?;
        self.send(ask::download(&id, 0, 0))?;
        let mut got = 0;
        while got < bytes {
            got += self.granted()?.len() - DOWNLOAD_PREFIX;
        }
        self.close(&id)
    }

    /// Uploads a file and closes the session.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn upload(&mut self, path: &str, bytes: &[u8]) -> Done<()> {
        let id = self.begin(b"PULF", path)?;
        let mut waiting = 0;
        for (number, piece) in bytes.chunks(CHUNK).enumerate() {
            self.send(ask::upload(&id, (number * CHUNK) as u64, piece))?;
            waiting += 1;
            if waiting > AHEAD {
                self.granted()?;
                waiting -= 1;
            }
        }
        for _ in 0..waiting {
            self.granted()?;
        }
        self.close(&id)
    }

    fn begin(&mut self, command: &[u8; 4], path: &str) -> Done<Id> {
        self.send(ask::path(command, path))?;
        let id = self.granted()?.get(2..).and_then(|id| id.try_into().ok());
        // In the reference an id becomes valid a moment later.
        thread::sleep(Duration::from_millis(50));
        id.ok_or_else(|| failed("no id"))
    }

    fn close(&mut self, id: &Id) -> Done<()> {
        loop {
            self.send(ask::close(id))?;
            // The reference refuses as long as its hash is not ready.
            if self.receive()?.first() == Some(&1) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(&mut self, mut message: Vec<u8>) -> Done<()> {
        if let Some((_, sending)) = &mut self.coders {
            sending.reset();
            sending.encode(&mut message);
        }
        let packets = self.wire.packets(message, 1).map_err(failed)?;
        self.stream.write_all(&packets.to_vec()).map_err(failed)
    }

    /// A reply that is a success.
    fn granted(&mut self) -> Done<&[u8]> {
        match self.receive()? {
            reply @ [1, ..] => Ok(reply),
            reply => Err(failed(format!("refused: {}", String::from_utf8_lossy(reply)))),
        }
    }

    fn receive(&mut self) -> Done<&[u8]> {
        loop {
            let mut rest = self.input.get(self.unread.clone()).unwrap_or_default();
            let event = self.decoder.take(&mut rest).map_err(failed)?;
            self.unread.start = self.unread.end - rest.len();
            match event {
                Some(Event::Message) => break,
                Some(Event::Heartbeat) => {}
                None => {
                    let read = self.stream.read(&mut self.input).map_err(failed)?;
                    if read == 0 {
                        return Err(failed("the server closed"));
                    }
                    self.unread = 0..read;
                }
            }
        }
        let message = self.decoder.message();
        if let Some((receiving, _)) = &mut self.coders {
            receiving.reset();
            receiving.decode(message);
        }
        Ok(message)
    }
}
