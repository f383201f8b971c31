//! The writer of the log: a bounded queue, and a thread that empties it. Whoever does not read the log,
//! or has no room for it, holds up nobody (invariant I13): lines that find the queue full are lost,
//! and counted.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait to be written: some ten thousand lines.
const MOST_BYTES: usize = 4 << 20;

/// Where lines go.
pub type Sink = Box<dyn Write + Send>;

/// What is done between two lines.
type Step = Box<dyn FnOnce() + Send>;

/// The queue of the log. Until [`LogQueue::run`], a line is written by whoever logs it.
#[derive(Debug, Clone, Default)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where lines go as long as there is no thread.
    sink: Option<Sink>,
    /// Whole lines, one behind the other.
    waiting: Vec<u8>,
    /// What is done before the bytes of `waiting` from this place on are written.
    step: Option<(usize, Step)>,
    /// Whether the thread has lines that it has not written yet.
    writing: bool,
    /// Lines lost and not told of.
    untold: u64,
    /// Lines lost since the start.
    lost: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl State {
    fn lose(&mut self, lines: u64) {
        self.untold = self.untold.saturating_add(lines);
        self.lost = self.lost.saturating_add(lines);
    }
}

impl LogQueue {
    /// A queue in front of a sink.
    pub fn new(sink: Sink) -> LogQueue {
        let queue = LogQueue::default();
        queue.locked().sink = Some(sink);
        queue
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread, which has the sandbox of the thread that calls this. From now on no line
    /// waits for its reader.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn run(&self) -> io::Result<()> {
        let Some(sink) = self.locked().sink.take() else { return Ok(()) };
        let queue = self.clone();
        thread::Builder::new().name("log".into()).spawn(move || queue.empty_into(sink))?;
        Ok(())
    }

    /// Lines lost since the start.
    pub fn lost(&self) -> u64 {
        self.locked().lost
    }

    /// Waits until every line is written, but no longer than `patience`: the end of the server must not
    /// wait for a reader either.
    pub fn flush(&self, patience: Duration) {
        let state = self.locked();
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        drop(self.0.changed.wait_timeout_while(state, patience, busy));
    }

    /// Does something when all lines of before are written and none of those behind. Of two steps that
    /// wait, the later one is done.
    pub fn between_lines(&self, step: impl FnOnce() + Send + 'static) {
        let mut state = self.locked();
        if state.sink.is_some() {
            drop(state);
            return step();
        }
        state.step = Some((state.waiting.len(), Box::new(step)));
        drop(state);
        self.0.changed.notify_all();
    }

    /// Takes a line in.
    fn push(&self, line: &[u8]) {
        let mut state = self.locked();
        if let Some(sink) = &mut state.sink {
            if sink.write_all(line).is_err() {
                state.lose(1);
            }
            return;
        }
        if state.waiting.len().saturating_add(line.len()) > MOST_BYTES {
            state.lose(1);
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.0.changed.notify_all();
    }

    /// The thread: writes what waits, as long as the server lives.
    fn empty_into(&self, mut sink: Sink) {
        let mut lines = Vec::new();
        loop {
            let state = self.locked();
            let idle = |state: &mut State| state.waiting.is_empty() && state.step.is_none();
            let waited = self.0.changed.wait_while(state, idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut lines, &mut state.waiting);
            let step = state.step.take();
            state.writing = true;
            drop(state);
            let written = write_around(&mut sink, &lines, step);
            let mut state = self.locked();
            state.writing = false;
            let untold = match written {
                // One line when it is over, not one for each time there was a little room.
                Ok(()) if state.waiting.is_empty() => std::mem::take(&mut state.untold),
                Ok(()) => 0,
                Err(_) => {
                    let ends = lines.iter().filter(|byte| **byte == b'\n').count();
                    state.lose(u64::try_from(ends).unwrap_or(u64::MAX));
                    0
                }
            };
            drop(state);
            lines.clear();
            if untold > 0 {
                log_event!(
                    LogLinesLost,
                    lines = untold,
                    "the log was not read, or had no room: lines are missing before this one"
                );
            }
            self.0.changed.notify_all();
        }
    }
}

/// Writes lines, and does what is to be done between them.
fn write_around(sink: &mut Sink, lines: &[u8], step: Option<(usize, Step)>) -> io::Result<()> {
    let Some((at, step)) = step else { return sink.write_all(lines) };
    let (before, behind) = lines.split_at(at.min(lines.len()));
    let written = sink.write_all(before);
    step();
    written.and(sink.write_all(behind))
}

/// A line on its way into the queue; tracing writes each one in one piece.
#[derive(Debug)]
pub struct Line<'a>(&'a LogQueue);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream, time::Instant};

    use super::*;

    fn line(n: usize) -> Vec<u8> {
        format!("line {n} {}\n", "x".repeat(200)).into_bytes()
    }

    #[test]
    fn e3_what_is_between_two_lines_is_done_between_them() {
        let (reader, sink) = UnixStream::pair().unwrap();
        let mut direct = sink.try_clone().unwrap();
        let queue = LogQueue::new(Box::new(sink));
        queue.run().unwrap();
        queue.push(b"before\n");
        queue.between_lines(move || direct.write_all(b"between\n").unwrap());
        queue.push(b"behind\n");
        queue.flush(Duration::from_secs(10));
        drop(queue);
        let mut got = [0; 22];
        (&reader).read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), "before\nbetween\nbehind\n");
    }

    #[test]
    fn a6_a_reader_that_does_not_read_holds_nobody_up_and_lines_are_counted() {
        let (mut reader, sink) = UnixStream::pair().unwrap();
        let queue = LogQueue::new(Box::new(sink));
        queue.run().unwrap();
        let begun = Instant::now();
        const LINES: usize = 100_000;
        for n in 0..LINES {
            queue.push(&line(n));
        }
        queue.flush(Duration::from_millis(100));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let lost = usize::try_from(queue.lost()).unwrap();
        assert!(lost > LINES / 2, "{lost} lines lost");
        // Who reads again finds whole lines, and as many as were not lost.
        let reading = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        queue.flush(Duration::from_secs(20));
        assert_eq!(queue.locked().untold, 0, "it is told once there is room again");
        // The thread has the sink; its end is that of the process, so the reader is left to itself.
        drop(reading);
    }

    #[test]
    fn a6_every_line_arrives_in_order_where_somebody_reads() {
        let (mut reader, sink) = UnixStream::pair().unwrap();
        let queue = LogQueue::new(Box::new(sink));
        queue.run().unwrap();
        let expected: Vec<u8> = (0..1000).flat_map(line).collect();
        let length = expected.len();
        let reading = thread::spawn(move || {
            let mut bytes = vec![0; length];
            reader.read_exact(&mut bytes).unwrap();
            bytes
        });
        for n in 0..1000 {
            queue.push(&line(n));
        }
        assert!(reading.join().unwrap() == expected);
        assert_eq!(queue.lost(), 0);
    }

    #[test]
    fn a6_a_sink_without_room_costs_its_lines_and_no_more() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let queue = LogQueue::new(Box::new(Full));
        queue.run().unwrap();
        for n in 0..10 {
            queue.push(&line(n));
        }
        queue.flush(Duration::from_secs(20));
        assert_eq!(queue.lost(), 10);
    }
}
