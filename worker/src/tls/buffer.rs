//! A byte queue in one allocation that is filled at its end and emptied at its start.

/// Bytes between `start` and `end` are in the queue. The vector keeps its length, so that room is
/// zeroed once and never again.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes in the queue.
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes in the queue, to be worked on in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// How many bytes are in the queue.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in the queue.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `count` bytes off the start, or all there are.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Empties the queue and keeps the memory.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Room behind the queue: at least `wanted` bytes, for `produce` to make part of it.
    pub fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.bytes.len().saturating_sub(self.end) < wanted && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.len();
            self.start = 0;
        }
        let needed = self.end.saturating_add(wanted);
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Makes the first `count` bytes of the room part of the queue.
    pub fn produce(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for (place, byte) in self.room(bytes.len()).iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.produce(bytes.len());
    }

    /// Gives the memory back, if nothing is in the queue.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_reuses_its_room() {
        let mut buffer = Buffer::default();
        buffer.push(b"abcdef");
        buffer.consume(4);
        buffer.room(4)[..2].copy_from_slice(b"gh");
        buffer.produce(2);
        assert_eq!(buffer.filled(), b"efgh");
        assert!(buffer.bytes.len() <= 10, "the consumed bytes were reused");
        buffer.consume(100);
        assert!(buffer.is_empty());
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
