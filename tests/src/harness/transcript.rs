//! Transcripts: what a client sends and what the server answers, byte for byte, written as the RFCs
//! write them. A transcript is a text; each line of it is one step:
//!
//! ```text
//! # What follows is for the reader.
//! set uploads "atomic"             a key of the configuration, and its value as TOML
//! account reader --read-only       an account; without this line there is `alice`
//! second factor reader             whose next code is {code}
//! certificate                      TLS is configured
//! file a hello\r\n                 a file of the first account, with what is in it
//! directory d                      a directory of the first account
//! log in reader                    a new connection, logged in; nothing is read that is not said
//! connect                          a new connection
//! C: PWD                           what the client sends, CR LF behind it
//! S: 257 "/" is the *.             the next line of the server; `*` is anything, `?` one byte
//! S: ...                           any lines up to the next one that is named
//! S: end                           the server closes
//! D: listen                        the client listens: {port} and {p1,p2} say where
//! D: connect                       the client connects to where 227 or 229 have said
//! D: receive hello\r\n             what comes on the data connection, to its end
//! D: send hello                    what the client sends on it, and its end
//! D: close                         the client closes it
//! ```

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use super::{ControlConnection, PATIENCE, Server, one_time_code};

/// A transcript, read from its text.
pub struct Transcript {
    /// What failures call it.
    name: &'static str,
    steps: Vec<(usize, Step)>,
}

/// One line of a transcript.
enum Step {
    Set(String, String),
    Account(String, Vec<String>),
    SecondFactor(String),
    Certificate,
    File(String, Vec<u8>),
    Directory(String),
    LogIn(String),
    Connect,
    Client(String),
    Server(String),
    Listen,
    Dial,
    Receive(String),
    Send(Vec<u8>),
    Close,
}

/// What the server made of a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answered {
    /// The verb, upper case; of SITE with the word behind it.
    pub command: String,
    /// Whether the first reply was of the kinds 1 to 3 (RFC 959 section 4.2.1).
    pub positive: bool,
}

impl Transcript {
    /// Reads a transcript.
    ///
    /// # Panics
    /// When a line is no step.
    pub fn read(name: &'static str, text: &str) -> Transcript {
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let step = |(number, line): (usize, &str)| {
            let step = Step::read(line).unwrap_or_else(|| panic!("{name}:{}: {line}", number + 1));
            (number + 1, step)
        };
        Transcript { name, steps: lines.map(step).collect() }
    }

    /// Every command of it, with the kind of its first reply.
    pub fn answered(&self) -> BTreeSet<Answered> {
        let mut answered = BTreeSet::new();
        for pair in self.steps.windows(2) {
            let [(_, Step::Client(line)), (_, Step::Server(reply))] = pair else { continue };
            let mut words = line.split(' ').map(str::to_ascii_uppercase);
            let mut command = words.next().unwrap_or_default();
            if let ("SITE", Some(word)) = (command.as_str(), words.next()) {
                answered.insert(Answered { command, positive: reply.starts_with(['1', '2', '3']) });
                command = format!("SITE {word}");
            }
            answered.insert(Answered { command, positive: reply.starts_with(['1', '2', '3']) });
        }
        answered
    }

    /// Plays it against a server of its own.
    ///
    /// # Panics
    /// Where the server says something else, naming the line.
    pub fn play(&self) {
        let mut server = Server::new();
        let mut secret = None;
        for (_, step) in &self.steps {
            match step {
                Step::Set(key, value) => server = server.with(key, value),
                Step::Account(name, arguments) => {
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    server = server.with_account(name, &arguments);
                }
                Step::Certificate => server = server.with_certificate(),
                _ => {}
            }
        }
        if server.accounts.is_empty() {
            server = server.with_account("alice", &[]);
        }
        for (_, step) in &self.steps {
            if let Step::SecondFactor(name) = step {
                secret = Some(demand_code(&server, name));
            }
        }
        let mut stage = Stage { server: server.run(), secret, client: None };
        for (number, step) in &self.steps {
            if let Err(what) = stage.step(step) {
                panic!("{}:{number}: {what}", self.name);
            }
        }
        if let Some(client) = &stage.client {
            let more = String::from_utf8_lossy(client.reader.buffer());
            assert!(more.is_empty(), "{}: at the end, the server said {more:?}", self.name);
        }
    }
}

impl Step {
    fn read(line: &str) -> Option<Step> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let two = || rest.split_once(' ').unwrap_or((rest, ""));
        Some(match word {
            "C:" => Step::Client(rest.to_owned()),
            "S:" => Step::Server(rest.to_owned()),
            "set" => Step::Set(two().0.to_owned(), two().1.to_owned()),
            "account" => {
                let arguments = two().1.split_whitespace().map(str::to_owned).collect();
                Step::Account(two().0.to_owned(), arguments)
            }
            "second" => Step::SecondFactor(rest.strip_prefix("factor ")?.to_owned()),
            "certificate" => Step::Certificate,
            "file" => Step::File(two().0.replace("\\x20", " "), unescape(two().1)),
            "directory" => Step::Directory(rest.to_owned()),
            "log" => Step::LogIn(rest.strip_prefix("in ")?.to_owned()),
            "connect" => Step::Connect,
            "D:" => match two() {
                ("listen", "") => Step::Listen,
                ("connect", "") => Step::Dial,
                ("close", "") => Step::Close,
                ("receive", pattern) => Step::Receive(pattern.to_owned()),
                ("send", bytes) => Step::Send(unescape(bytes)),
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// A running server and the client of the transcript.
struct Stage {
    server: Server,
    /// Of the second factor.
    secret: Option<String>,
    client: Option<Client>,
}

/// The client's connections.
struct Client {
    reader: BufReader<TcpStream>,
    /// `S: ...` was read: lines that do not fit are passed over.
    skipping: bool,
    /// The port of the last 227 or 229.
    passive: u16,
    listener: Option<TcpListener>,
    data: Option<TcpStream>,
}

impl Stage {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Set(..) | Step::Account(..) | Step::SecondFactor(_) | Step::Certificate => {}
            Step::File(name, bytes) => self.server.accounts[0].put(name, bytes),
            Step::Directory(name) => self.server.accounts[0].make_directory(name),
            Step::Connect => self.client = Some(Client::connect(self.server.address())),
            Step::LogIn(name) => {
                let control = self.server.log_in(name);
                let stream = control.stream().try_clone().map_err(|e| e.to_string())?;
                self.client = Some(Client::adopt(stream));
            }
            Step::Client(line) => {
                let mut line = line.clone();
                if line.contains("{code}") {
                    let secret = self.secret.as_deref().ok_or("there is no second factor")?;
                    line = line.replace("{code}", &one_time_code(secret));
                }
                self.client()?.send(&line)?;
            }
            Step::Server(pattern) => self.client()?.expect(pattern)?,
            Step::Listen => {
                let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
                self.client()?.listener = Some(listener);
            }
            Step::Dial => {
                let place = SocketAddr::new(self.server.address().ip(), self.client()?.passive);
                let data = TcpStream::connect(place).map_err(|e| format!("{place}: {e}"))?;
                self.client()?.data = Some(ControlConnection::data(data));
            }
            Step::Receive(pattern) => {
                let mut got = Vec::new();
                self.client()?.data()?.read_to_end(&mut got).map_err(|e| e.to_string())?;
                if !fits(&unescape(pattern), &got) {
                    return Err(format!("received {:?}", String::from_utf8_lossy(&got)));
                }
            }
            Step::Send(bytes) => {
                self.client()?.data()?.write_all(bytes).map_err(|e| e.to_string())?;
            }
            Step::Close => {
                let client = self.client()?;
                (client.listener, client.data) = (None, None);
            }
        }
        Ok(())
    }

    fn client(&mut self) -> Result<&mut Client, String> {
        self.client.as_mut().ok_or_else(|| "nobody has connected".to_owned())
    }
}

impl Client {
    fn connect(server: SocketAddr) -> Client {
        Client::adopt(TcpStream::connect(server).unwrap())
    }

    fn adopt(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream);
        Client { reader, skipping: false, passive: 0, listener: None, data: None }
    }

    fn send(&mut self, line: &str) -> Result<(), String> {
        let early = String::from_utf8_lossy(self.reader.buffer());
        if !early.is_empty() {
            return Err(format!("the server has said {early:?} before"));
        }
        let mut line = line.to_owned();
        if let Some(listener) = &self.listener {
            let port = listener.local_addr().map_err(|e| e.to_string())?.port();
            line = line.replace("{port}", &port.to_string());
            line = line.replace("{p1,p2}", &format!("{},{}", port / 256, port % 256));
        }
        let mut bytes = unescape(&line);
        bytes.extend_from_slice(b"\r\n");
        self.reader.get_mut().write_all(&bytes).map_err(|e| e.to_string())
    }

    fn expect(&mut self, pattern: &str) -> Result<(), String> {
        if pattern == "..." {
            self.skipping = true;
            return Ok(());
        }
        loop {
            let mut line = Vec::new();
            let read = self.reader.read_until(b'\n', &mut line);
            if pattern == "end" && matches!(read, Ok(0)) {
                return Ok(());
            }
            read.map_err(|e| format!("the server says nothing: {e}"))?;
            let said = String::from_utf8_lossy(&line).into_owned();
            let text = line.strip_suffix(b"\r\n").ok_or(format!("no line: {said:?}"))?;
            self.passive = passive_port(&said).unwrap_or(self.passive);
            if fits(&unescape(pattern), text) {
                self.skipping = false;
                return Ok(());
            }
            if !self.skipping {
                return Err(format!("the server said {said:?} instead of {pattern:?}"));
            }
        }
    }

    /// The data connection, which is used up.
    fn data(&mut self) -> Result<TcpStream, String> {
        if let Some(listener) = self.listener.take() {
            let accepted = listener.accept().map_err(|e| e.to_string())?;
            return Ok(ControlConnection::data(accepted.0));
        }
        self.data.take().ok_or_else(|| "there is no data connection".to_owned())
    }
}

/// The port of a 227 or 229.
fn passive_port(line: &str) -> Option<u16> {
    if line.starts_with("229 ") {
        return line.split('|').nth(3)?.parse().ok();
    }
    let inside = line.strip_prefix("227 ")?.split(['(', ')']).nth(1)?;
    let mut bytes = inside.split(',').skip(4).map(|byte| byte.parse::<u8>().ok());
    Some(u16::from_be_bytes([bytes.next()??, bytes.next()??]))
}

/// Whether bytes are what a pattern says, in which `*` is anything and `?` one byte of anything.
pub fn fits(pattern: &[u8], bytes: &[u8]) -> bool {
    match (pattern, bytes) {
        ([b'*', rest @ ..], _) => {
            (0..=bytes.len()).any(|taken| fits(rest, bytes.get(taken..).unwrap_or_default()))
        }
        ([b'?', pattern @ ..], [_, bytes @ ..]) => fits(pattern, bytes),
        ([one, pattern @ ..], [other, bytes @ ..]) => one == other && fits(pattern, bytes),
        ([], bytes) => bytes.is_empty(),
        (_, []) => false,
    }
}

/// Undoes `\r`, `\n`, `\\` and `\xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'\\') => bytes.push(b'\\'),
            Some(b'x') => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().unwrap(), digit().unwrap());
                bytes.push(u8::try_from(high * 16 + low).unwrap());
            }
            other => panic!("{text}: there is no escape {other:?}"),
        }
    }
    bytes
}

/// Demands codes of an account; the secret they are made of.
fn demand_code(server: &Server, name: &str) -> String {
    let output = server.bulkhead(&["user", "totp", name]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap();
    secret.trim().to_owned()
}
