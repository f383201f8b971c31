//! The load generator: a small FTP client that does exactly what a row asks for.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use super::{
    servers::Running,
    stream::{self, Stream},
};
use xtask::command::Done;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A control connection.
pub struct Client {
    control: BufReader<Stream>,
    /// For data connections, if they are TLS: they resume the session of the control connection.
    tls: Option<Arc<ClientConfig>>,
    address: SocketAddr,
    /// How long the last handshake took, of this or of a data connection.
    pub handshake: Option<Duration>,
    /// The last reply line.
    line: String,
}

/// What a download told.
pub struct Received {
    /// Bytes.
    pub bytes: u64,
    /// From the command to the first byte.
    pub first: Duration,
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

impl Client {
    /// Connects and waits for the greeting.
    pub fn connect(running: &Running) -> Done<Client> {
        let address = running.address();
        let stream = TcpStream::connect(address).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        let control = BufReader::new(Stream::Plain(stream));
        let mut client =
            Client { control, tls: None, address, handshake: None, line: String::new() };
        client.expect(220)?;
        Ok(client)
    }

    /// Connects, makes the control connection TLS, and the data connections as well.
    pub fn log_in_tls(running: &Running, user: &str) -> Done<Client> {
        let mut client = Client::connect(running)?;
        client.ask("AUTH TLS", 234)?;
        let configuration = stream::configuration()?;
        let Stream::Plain(plain) = client.control.into_inner() else {
            return Err("TLS within TLS".to_owned());
        };
        let begun = Instant::now();
        client.control = BufReader::new(Stream::tls(plain, &configuration)?);
        client.handshake = Some(begun.elapsed());
        client.ask_login(running, user)?;
        client.ask("PBSZ 0", 200)?;
        client.ask("PROT P", 200)?;
        client.tls = Some(configuration);
        Ok(client)
    }

    /// Connects, logs in as the server's user, and goes where the files are.
    pub fn log_in(running: &Running, user: &str) -> Done<Client> {
        let mut client = Client::connect(running)?;
        client.ask_login(running, user)?;
        Ok(client)
    }

    fn ask_login(&mut self, running: &Running, user: &str) -> Done<()> {
        if self.command(&format!("USER {user}"))? == 331 {
            self.ask("PASS secret", 230)?;
        }
        self.ask("TYPE I", 200)?;
        let base = if user == "anonymous" && running.server.user != "anonymous" {
            "/"
        } else {
            running.server.base
        };
        self.ask(&format!("CWD {base}"), 250)
    }

    /// Sends a command and reads its reply's code.
    pub fn command(&mut self, command: &str) -> Done<u16> {
        self.control.get_mut().write_all(format!("{command}\r\n").as_bytes()).map_err(text)?;
        self.reply()
    }

    /// Sends a command and demands a code.
    pub fn ask(&mut self, command: &str, wanted: u16) -> Done<()> {
        let code = self.command(command)?;
        if code == wanted { Ok(()) } else { Err(format!("{command}: {}", self.line.trim_end())) }
    }

    fn expect(&mut self, wanted: u16) -> Done<()> {
        let code = self.reply()?;
        if code == wanted { Ok(()) } else { Err(format!("{wanted} expected: {}", self.line)) }
    }

    /// Reads a reply of one line or several.
    fn reply(&mut self) -> Done<u16> {
        loop {
            self.line.clear();
            if self.control.read_line(&mut self.line).map_err(text)? == 0 {
                return Err("the server closed the control connection".to_owned());
            }
            let code = self.line.get(..3).and_then(|code| code.parse().ok());
            if let (Some(code), Some(b' ')) = (code, self.line.as_bytes().get(3)) {
                return Ok(code);
            }
        }
    }

    /// A passive data connection.
    fn data(&mut self) -> Done<TcpStream> {
        self.ask("EPSV", 229)?;
        let port = self.line.split('|').nth(3).and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or_else(|| format!("no port: {}", self.line))?;
        let stream = TcpStream::connect(SocketAddr::new(self.address.ip(), port)).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        Ok(stream)
    }

    /// RETR, LIST, NLST or MLSD: reads to the end.
    pub fn receive(&mut self, command: &str, buffer: &mut [u8]) -> Done<Received> {
        self.receive_watched(command, buffer, &mut |_| {})
    }

    /// The same; `look` is called with the bytes received so far, after each read.
    pub fn receive_watched(
        &mut self,
        command: &str,
        buffer: &mut [u8],
        look: &mut dyn FnMut(u64),
    ) -> Done<Received> {
        let data = self.data()?;
        let start = Instant::now();
        let code = self.command(command)?;
        if !matches!(code, 150 | 125) {
            return Err(format!("{command}: {}", self.line.trim_end()));
        }
        let mut data = self.protect(data)?;
        let mut bytes = 0;
        let mut first = None;
        loop {
            let read = data.read(buffer).map_err(text)?;
            first.get_or_insert_with(|| start.elapsed());
            if read == 0 {
                break;
            }
            bytes += read as u64;
            look(bytes);
        }
        drop(data);
        self.expect(226)?;
        Ok(Received { bytes, first: first.unwrap_or_default() })
    }

    /// STOR: sends `size` bytes made of `piece`.
    pub fn send(&mut self, name: &str, piece: &[u8], size: u64) -> Done<()> {
        let data = self.data()?;
        let code = self.command(&format!("STOR {name}"))?;
        if !matches!(code, 150 | 125) {
            return Err(format!("STOR {name}: {}", self.line.trim_end()));
        }
        let mut data = self.protect(data)?;
        let mut rest = size;
        while rest > 0 {
            let count = piece.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
            data.write_all(&piece[..count]).map_err(text)?;
            rest -= count as u64;
        }
        data.close()?;
        self.expect(226)
    }

    /// A data connection as PROT says. Called when the server has said 150.
    fn protect(&mut self, data: TcpStream) -> Done<Stream> {
        match &self.tls {
            None => Ok(Stream::Plain(data)),
            Some(configuration) => {
                let begun = Instant::now();
                let stream = Stream::tls(data, configuration)?;
                self.handshake = Some(begun.elapsed());
                Ok(stream)
            }
        }
    }
}
