//! A client on the wire: send a line, expect a reply. Tests read as transcripts.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
};

use super::{Account, PATIENCE};

/// A reply, all lines of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u16,
    /// Its text without the codes, one line each.
    pub lines: Vec<String>,
}

impl Reply {
    /// The text of its last line.
    pub fn text(&self) -> &str {
        self.lines.last().map(String::as_str).unwrap_or_default()
    }
}

/// What a control connection may be made of: TCP, or TLS over it.
pub trait Transport: Read + Write {
    /// The socket beneath.
    fn tcp(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// The control connection of a test client.
pub struct ControlConnection<S = TcpStream> {
    reader: BufReader<S>,
}

impl ControlConnection {
    /// Connects and reads nothing.
    pub fn connect(server: SocketAddr) -> ControlConnection {
        ControlConnection::adopt(TcpStream::connect_timeout(&server, PATIENCE).unwrap())
    }

    /// As [`ControlConnection::connect`], from an address of the client's choice.
    pub fn connect_from(own: IpAddr, server: SocketAddr) -> ControlConnection {
        ControlConnection::adopt(connect_from(own, server))
    }

    /// Makes a control connection of a socket.
    pub fn adopt(stream: TcpStream) -> ControlConnection {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        ControlConnection::over(stream)
    }

    /// Connects, is greeted and logs in.
    pub fn log_in(server: SocketAddr, account: &Account) -> ControlConnection {
        let mut control = ControlConnection::connect(server);
        control.expect(220);
        control.command(&format!("USER {}", account.name), 331);
        control.command(&format!("PASS {}", account.password), 230);
        control
    }

    /// Gives a data connection the timeouts of a test.
    pub fn data(stream: TcpStream) -> TcpStream {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl<S: Transport> ControlConnection<S> {
    /// A control connection over what has its timeouts already.
    pub fn over(transport: S) -> ControlConnection<S> {
        ControlConnection { reader: BufReader::new(transport) }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref().tcp()
    }

    /// What the connection is made of; nothing that was received may be waiting.
    pub fn into_transport(self) -> S {
        assert!(self.reader.buffer().is_empty(), "something was received and not read");
        self.reader.into_inner()
    }

    /// What the connection is made of.
    pub fn transport(&mut self) -> &mut S {
        self.reader.get_mut()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\r\n").as_bytes());
    }

    /// Sends a line and expects a reply with this code.
    pub fn command(&mut self, line: &str, code: u16) -> Reply {
        self.send(line);
        let reply = self.reply().unwrap_or_else(|e| panic!("no reply to {line:?}: {e}"));
        assert_eq!(reply.code, code, "to {line:?}: {reply:?}");
        reply
    }

    /// Expects a reply with this code.
    pub fn expect(&mut self, code: u16) -> Reply {
        let reply = self.reply().unwrap_or_else(|e| panic!("no {code}: {e}"));
        assert_eq!(reply.code, code, "{reply:?}");
        reply
    }

    /// Reads one reply (RFC 959 section 4.2), strictly.
    ///
    /// # Errors
    /// When the connection ends or times out, or what comes is no reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        let first = self.line()?;
        let (code, mut more) = Self::head(&first)?;
        lines.push(first.get(4..).unwrap_or_default().to_owned());
        while more {
            let line = self.line()?;
            match Self::head(&line) {
                Ok((same, dash)) if same == code => {
                    more = dash;
                    lines.push(line.get(4..).unwrap_or_default().to_owned());
                }
                _ => lines.push(line),
            }
        }
        Ok(Reply { code, lines })
    }

    /// Reads one reply as the bytes it came in, for names that are no UTF-8.
    ///
    /// # Errors
    /// When the connection ends or times out, or what comes is no reply.
    pub fn raw_reply(&mut self) -> io::Result<Vec<u8>> {
        let mut reply = Vec::new();
        let mut start = 0;
        loop {
            if self.reader.read_until(b'\n', &mut reply)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = reply.get(start..).unwrap_or_default();
            let last = line.get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit))
                && line.get(3) == Some(&b' ');
            if last {
                return Ok(reply);
            }
            start = reply.len();
        }
    }

    /// Expects that the server closes the connection, with nothing more to read but `421` lines.
    pub fn expect_end(&mut self) {
        loop {
            match self.reply() {
                Ok(reply) => assert_eq!(reply.code, 421, "{reply:?}"),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return,
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return,
                Err(e) => panic!("the connection does not end: {e}"),
            }
        }
    }

    /// Asks for a passive data connection by EPSV and connects to it.
    pub fn passive(&mut self) -> TcpStream {
        let text = self.command("EPSV", 229).text().to_owned();
        let port = text.split("|||").nth(1).and_then(|rest| rest.split('|').next());
        let port: u16 = port.and_then(|p| p.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        let server = self.stream().peer_addr().unwrap().ip();
        let address = SocketAddr::new(server, port);
        ControlConnection::data(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// Announces an active data connection by EPRT, on the address of the control connection.
    pub fn active(&mut self) -> TcpListener {
        let own = self.stream().local_addr().unwrap().ip();
        let listener = TcpListener::bind((own, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let family = if own.is_ipv4() { 1 } else { 2 };
        self.command(&format!("EPRT |{family}|{own}|{port}|"), 200);
        listener
    }

    /// Downloads by a passive data connection; the command may be RETR or a listing.
    pub fn download(&mut self, command: &str) -> Vec<u8> {
        let mut data = self.passive();
        self.command(command, 150);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        self.expect(226);
        bytes
    }

    /// Uploads by a passive data connection.
    pub fn upload(&mut self, command: &str, bytes: &[u8]) {
        let mut data = self.passive();
        self.command(command, 150);
        data.write_all(bytes).unwrap();
        drop(data);
        self.expect(226);
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let Some(text) = line.strip_suffix(b"\r\n") else {
            let kind = if line.is_empty() {
                io::ErrorKind::UnexpectedEof
            } else {
                io::ErrorKind::InvalidData
            };
            return Err(io::Error::new(kind, format!("{:?}", String::from_utf8_lossy(&line))));
        };
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn head(line: &str) -> io::Result<(u16, bool)> {
        let no_reply = || io::Error::new(io::ErrorKind::InvalidData, format!("no reply: {line:?}"));
        let code = line.get(..3).and_then(|c| c.parse().ok()).ok_or_else(no_reply)?;
        match line.as_bytes().get(3) {
            Some(b'-') => Ok((code, true)),
            Some(b' ') => Ok((code, false)),
            _ => Err(no_reply()),
        }
    }
}

/// Connects from an address of the client's choice; every one of 127.0.0.0/8 is there.
pub fn connect_from(own: IpAddr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let family = if own.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::new(own, 0)).unwrap();
    connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

/// Begins to connect from an address of the client's choice, and does not wait for the answer.
pub fn knock_from(own: IpAddr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let family = if own.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddr::new(own, 0)).unwrap();
    assert_eq!(connect(&socket, &to), Err(rustix::io::Errno::INPROGRESS));
    TcpStream::from(socket)
}
