//! The commands of a session: what each verb does. Before a handler runs, the verb table has been
//! asked for the phase, the right and what becomes of an offset or a rename that was begun.

mod abor;
mod allo;
mod cwd;
mod dele;
mod feat;
pub(crate) mod hash;
mod list;
mod mfmt;
mod mkd;
mod pasv;
mod port;
mod quit;
mod rest;
mod retr;
mod rnfr;
mod site;
mod size;
mod stat;
mod stor;
mod r#type;

use ipc::{bounded::Bytes, reason::Reason, session::Event};

use crate::{
    Fatal,
    ftp::{
        command::Command,
        digest::Algorithm,
        path::VirtualPath,
        reply::Reply,
        verb::{Phase, Verb},
    },
    session::Session,
};

/// What a handler answers: its reply, or nothing when a transfer has begun that will reply.
pub(crate) type Answer = Result<Option<Reply>, Fatal>;

impl Session<'_> {
    /// Obeys one command.
    pub(crate) fn dispatch_verb(&mut self, command: &Command) -> Result<(), Fatal> {
        let answer = self.answer(command)?;
        let refused = answer.as_ref().is_some_and(Reply::is_refusal);
        self.count_command(!refused && command.reaches_files());
        if let Some(reply) = answer {
            self.say(&reply);
        }
        Ok(())
    }

    fn answer(&mut self, command: &Command) -> Answer {
        let verb = command.verb;
        if command.row.phase == Phase::BeforeLogin {
            return Ok(Some(Reply::LOGGED_IN_ALREADY));
        }
        if !verb.keeps_offset() {
            if !verb.takes_offset() {
                self.offset = 0;
            }
            if verb != Verb::Rnto {
                self.rename_from = None;
            }
        }
        if !command.row.need.is_met(self.account.rights) {
            self.note_refusal(command, Reason::NoRight)?;
            return Ok(Some(Reply::RIGHT_MISSING));
        }
        let answer = self.handle(command)?;
        let refused = answer.as_ref().and_then(Reply::reason).filter(|_| verb.moves_files());
        if let Some(reason) = refused {
            self.note_refusal(command, reason)?;
        }
        Ok(answer)
    }

    /// Tells the supervisor of a command that was refused before anything was done.
    fn note_refusal(&mut self, command: &Command, reason: Reason) -> Result<(), Fatal> {
        let event = Event::Refused {
            command: Bytes::cut(command.row.name.as_bytes().to_vec()),
            path: Bytes::cut(command.argument.as_slice().to_vec()),
            reason,
        };
        self.events.add(event, &self.channel)
    }

    fn handle(&mut self, command: &Command) -> Answer {
        let argument = command.argument.as_slice();
        let reply = match command.verb {
            // Refused above: their phase is over.
            Verb::User | Verb::Pass | Verb::Acct | Verb::Host | Verb::Auth => {
                Reply::LOGGED_IN_ALREADY
            }
            Verb::Quit => self.quit(),
            // A process that has become an account cannot become anybody else.
            Verb::Rein => Reply::LOGIN_STAYS,
            Verb::Lang => feat::lang(argument),
            Verb::Clnt => Reply::CLIENT_NOTED,
            Verb::Csid => Reply::CLIENT_IDENTITY,
            Verb::Pbsz => self.pbsz(argument),
            Verb::Prot => self.prot(argument),
            Verb::Ccc if self.protection.is_some() => Reply::CCC_REFUSED,
            // There is no protection to give up.
            Verb::Ccc => Reply::PROT_NEEDS_TLS,
            Verb::Adat => Reply::NO_SECURITY_DATA,
            Verb::Mic | Verb::Conf | Verb::Enc => Reply::COMMAND_PROTECTION,
            Verb::Cwd => self.cwd(argument),
            Verb::Cdup => self.cdup(),
            Verb::Pwd => self.pwd(),
            Verb::Mkd => return self.mkd(argument),
            Verb::Rmd => return self.rmd(argument),
            Verb::Dele => return self.dele(argument),
            Verb::Rnfr => self.rnfr(argument),
            Verb::Rnto => return self.rnto(argument),
            Verb::Port => self.port(argument),
            Verb::Eprt => self.eprt(argument),
            Verb::Pasv => return self.pasv(),
            Verb::Epsv => return self.epsv(argument),
            Verb::Type => self.set_type(argument),
            Verb::Stru => r#type::stru(argument),
            Verb::Mode => r#type::mode(argument),
            Verb::Retr => return self.retr(argument),
            Verb::Stor => return self.stor(argument),
            Verb::Stou => return self.stou(argument),
            Verb::Appe => return self.appe(argument),
            Verb::Allo => self.allo(argument),
            Verb::Avbl => self.avbl(argument),
            Verb::Rest => self.rest(argument),
            Verb::Abor => return self.abor(),
            Verb::List => return self.list(argument),
            Verb::Nlst => return self.nlst(argument),
            Verb::Mlsd => return self.mlsd(argument),
            Verb::Mlst => self.mlst(argument),
            Verb::Stat => self.stat(argument),
            Verb::Size => self.size(argument),
            Verb::Mdtm => self.mdtm(argument),
            Verb::Mfmt => return self.mfmt(argument),
            Verb::Mff => return self.mff(argument),
            Verb::Hash => return Ok(self.hash(argument)),
            Verb::Rang => self.rang(argument),
            Verb::Xcrc => return Ok(self.sum(Algorithm::Crc32, argument)),
            Verb::Xmd5 => return Ok(self.sum(Algorithm::Md5, argument)),
            Verb::Xsha1 => return Ok(self.sum(Algorithm::Sha1, argument)),
            Verb::Xsha256 => return Ok(self.sum(Algorithm::Sha256, argument)),
            Verb::Xsha512 => return Ok(self.sum(Algorithm::Sha512, argument)),
            Verb::Feat => self.feat(),
            Verb::Opts => self.opts(argument),
            Verb::Help => Reply::help(argument),
            Verb::Noop => Reply::NOOP,
            Verb::Syst => Reply::SYSTEM,
            Verb::Site => return self.site(argument),
        };
        Ok(Some(reply))
    }

    /// The path a client means; the reply when it cannot be one.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<VirtualPath, Reply> {
        self.directory.join(path).map_err(Reply::path_error)
    }

    /// As [`Session::resolve`]; no path is the working directory.
    pub(crate) fn resolve_or_here(&self, path: &[u8]) -> Result<VirtualPath, Reply> {
        if path.is_empty() { Ok(self.directory.clone()) } else { self.resolve(path) }
    }
}

/// Takes the value, or answers with the reply.
macro_rules! ok_or_reply {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(reply) => return reply,
        }
    };
}

/// As `ok_or_reply`, in a handler that may begin a transfer.
macro_rules! ok_or_answer {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(reply) => return Ok(Some(reply)),
        }
    };
}

pub(crate) use {ok_or_answer, ok_or_reply};
