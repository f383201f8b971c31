//! LIST and NLST (RFC 959 section 4.1.3), MLSD and MLST (RFC 3659 section 7).

use std::time::{SystemTime, UNIX_EPOCH};

use ipc::session::TransferKind;

use super::{Answer, ok_or_answer, ok_or_reply};
use crate::{
    files::{FileError, FileResult, Metadata},
    ftp::{
        argument, glob,
        listing::{FactFormatter, ListFormatter, Relation, append_name_line},
        path::VirtualPath,
        reply::Reply,
    },
    session::Session,
    transfer::{Job, Listing, ListingStyle, Transfer},
};

impl Session<'_> {
    pub(super) fn list(&mut self, argument: &[u8]) -> Answer {
        self.begin_listing(argument, false)
    }

    pub(super) fn nlst(&mut self, argument: &[u8]) -> Answer {
        self.begin_listing(argument, true)
    }

    fn begin_listing(&mut self, argument: &[u8], names: bool) -> Answer {
        ok_or_answer!(self.announced_data_way());
        let (path, listing) = ok_or_answer!(self.prepare_listing(argument, names));
        let transfer = Transfer::new(TransferKind::Listing, path, Job::Listing(Box::new(listing)))
            .with_replies(Reply::OPENING_DATA, Reply::LISTED);
        self.begin_transfer(transfer)
    }

    /// What LIST, NLST or STAT has to list: a directory, the names in one that fit a pattern, or
    /// one file.
    pub(super) fn prepare_listing(
        &mut self,
        argument: &[u8],
        names: bool,
    ) -> Result<(VirtualPath, Listing), Reply> {
        let wanted = argument::listing(argument).map_err(Reply::argument)?;
        let name = wanted.path;
        let path = self.resolve_or_here(name)?;
        let failed = |error| Reply::file_error(error, name);
        let limit = self.limits.listing_entries;
        let found = self.root.metadata(&path);
        if found.is_err() && glob::is_pattern(path.name()) {
            let directory = self.root.open_directory(&path.parent()).map_err(failed)?;
            let typed = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let prefix = name.get(..typed).unwrap_or_default().to_vec();
            let mut listing = Listing::new(style(names, prefix), Some(directory), limit);
            listing.pattern = Some(path.name().to_vec());
            return Ok((path.parent(), listing));
        }
        let is_directory = match found {
            Ok(metadata) => metadata.is_directory(),
            // A link that leads nowhere is something that can be listed.
            Err(error) => {
                self.root.link_metadata(&path).map(|_| false).map_err(|_| failed(error))?
            }
        };
        if is_directory && !wanted.directory_itself {
            let directory = self.root.open_directory(&path).map_err(failed)?;
            let mut prefix = name.to_vec();
            if !prefix.is_empty() && prefix.last() != Some(&b'/') {
                prefix.push(b'/');
            }
            let mut listing = Listing::new(style(names, prefix), Some(directory), limit);
            listing.all = wanted.all;
            return Ok((path, listing));
        }
        let mut listing = Listing::new(style(names, Vec::new()), None, limit);
        let shown = if name.is_empty() { b"." } else { name };
        match &mut listing.style {
            ListingStyle::Long(formatter) => {
                let metadata = self.root.link_metadata(&path).map_err(failed)?;
                let target = if crate::transfer::is_link(&metadata) {
                    self.root.read_link(&path).unwrap_or_default()
                } else {
                    Vec::new()
                };
                formatter.append(&mut listing.first, shown, &metadata, &target);
            }
            ListingStyle::Names(_) | ListingStyle::Facts(_) => {
                append_name_line(&mut listing.first, shown);
            }
        }
        Ok((path, listing))
    }

    pub(super) fn mlsd(&mut self, argument: &[u8]) -> Answer {
        ok_or_answer!(self.announced_data_way());
        let path = ok_or_answer!(self.resolve_or_here(argument));
        let opened = self.root.open_directory(&path).and_then(|directory| {
            let metadata = directory.metadata()?;
            Ok((directory, metadata))
        });
        let (directory, metadata) = ok_or_answer!(opened.map_err(|error| match error {
            // RFC 3659 section 7.2.1: what is there and is no directory is a wrong argument.
            FileError::NotDirectory if self.root.metadata(&path).is_ok() => Reply::MLSD_OF_A_FILE,
            error => Reply::file_error(error, argument),
        }));
        let mut formatter = self.fact_formatter(&metadata);
        let mut first = Vec::new();
        formatter.append_line(&mut first, b".", &metadata, Relation::This);
        let style = ListingStyle::Facts(Box::new(formatter));
        let mut listing = Listing::new(style, Some(directory), self.limits.listing_entries);
        listing.all = true;
        listing.first = first;
        let transfer = Transfer::new(TransferKind::Listing, path, Job::Listing(Box::new(listing)))
            .with_replies(Reply::OPENING_DATA, Reply::LISTED);
        self.begin_transfer(transfer)
    }

    pub(super) fn mlst(&mut self, argument: &[u8]) -> Reply {
        let path = ok_or_reply!(self.resolve_or_here(argument));
        let found = |session: &Session<'_>| -> FileResult<(Metadata, Metadata)> {
            let metadata = session.root.metadata(&path)?;
            Ok((metadata, session.root.metadata(&path.parent())?))
        };
        match found(self) {
            Ok((metadata, parent)) => {
                let mut line = Vec::new();
                let mut formatter = self.fact_formatter(&parent);
                formatter.append(&mut line, path.as_bytes(), &metadata, Relation::Child);
                Reply::facts(line)
            }
            Err(error) => Reply::file_error(error, argument),
        }
    }

    fn fact_formatter(&self, directory: &Metadata) -> FactFormatter {
        let identity = &self.account.identity;
        let mut groups = identity.groups.clone();
        groups.push(identity.gid);
        FactFormatter::new(self.facts, self.account.rights, identity.uid, groups, directory)
    }
}

fn style(names: bool, prefix: Vec<u8>) -> ListingStyle {
    if names {
        return ListingStyle::Names(prefix);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    ListingStyle::Long(Box::new(ListFormatter::new(now)))
}
