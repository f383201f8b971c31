//! What the session did, told to the supervisor in batches: a message for each small file would
//! cost more than the file.

use std::time::{Duration, Instant};

use ipc::{
    bounded,
    session::{Event, MAX_EVENTS, MAX_NOTICE, SessionToSupervisor},
};

use super::SupervisorChannel;
use crate::Fatal;

/// So long an event may wait for company.
const PATIENCE: Duration = Duration::from_millis(200);
/// Bytes that may wait: with one more event of two longest paths they fit into a message.
const MOST_BYTES: usize = 32 * 1024;

/// The events that were not sent yet.
#[derive(Debug, Default)]
pub struct Events {
    waiting: Vec<Event>,
    bytes: usize,
    since: Option<Instant>,
}

impl Events {
    /// Adds an event; sends the batch when it is large enough.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn add(&mut self, mut event: Event, channel: &SupervisorChannel) -> Result<(), Fatal> {
        if let Event::Notice(text) = &mut event {
            bounded::cut(text, MAX_NOTICE);
        }
        self.bytes = self.bytes.saturating_add(size(&event));
        self.waiting.push(event);
        self.since.get_or_insert_with(Instant::now);
        let small = self.bytes < MOST_BYTES && self.waiting.len() < MAX_EVENTS;
        if small { Ok(()) } else { self.send(channel) }
    }

    /// When the batch has to be sent; `None` when there is none.
    pub fn due(&self) -> Option<Instant> {
        self.since.and_then(|since| since.checked_add(PATIENCE))
    }

    /// Sends what waits, if its time has come.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send_if_due(&mut self, now: Instant, channel: &SupervisorChannel) -> Result<(), Fatal> {
        if self.due().is_some_and(|due| due <= now) { self.send(channel) } else { Ok(()) }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send(&mut self, channel: &SupervisorChannel) -> Result<(), Fatal> {
        self.since = None;
        self.bytes = 0;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.waiting);
        Ok(channel.send(&SessionToSupervisor::Events(batch), &[])?)
    }
}

/// An upper bound of an event's encoding.
fn size(event: &Event) -> usize {
    const FIXED: usize = 64;
    let text = match event {
        Event::Transfer(transfer) => transfer.path.as_slice().len(),
        Event::File { path, to, .. } => {
            path.as_slice().len() + to.as_ref().map_or(0, |to| to.as_slice().len())
        }
        Event::Notice(text) => text.len(),
        Event::Refused { command, path, .. } => command.as_slice().len() + path.as_slice().len(),
    };
    FIXED + text
}

#[cfg(test)]
mod tests {
    use ipc::{
        Channel,
        bounded::Bytes,
        session::{FileOperation, SupervisorToSession},
    };

    use super::*;

    #[test]
    fn a_batch_of_the_longest_paths_fits_into_a_message() {
        let (ours, theirs) = Channel::<SessionToSupervisor, SupervisorToSession>::pair().unwrap();
        let mut events = Events::default();
        for _ in 0..10 {
            let path = Bytes::cut(vec![b'x'; 5000]);
            let event = Event::File {
                operation: FileOperation::Rename,
                to: Some(path.clone()),
                path,
                reason: None,
            };
            events.add(event, &ours).unwrap();
        }
        events.send(&ours).unwrap();
        drop(ours);
        let mut seen = 0;
        while let Ok(received) = theirs.recv() {
            let SessionToSupervisor::Events(batch) = received.message else { panic!() };
            seen += batch.len();
        }
        assert_eq!(seen, 10);
    }

    #[test]
    fn an_event_waits_for_company_but_not_for_long() {
        let (ours, theirs) = Channel::<SessionToSupervisor, SupervisorToSession>::pair().unwrap();
        let mut events = Events::default();
        events.add(Event::Notice("one".into()), &ours).unwrap();
        events.send_if_due(Instant::now(), &ours).unwrap();
        assert!(theirs.try_recv().unwrap().is_none());
        events.send_if_due(Instant::now() + PATIENCE, &ours).unwrap();
        assert!(theirs.try_recv().unwrap().is_some());
        assert_eq!(events.due(), None);
    }
}
