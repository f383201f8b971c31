//! Medians and ratios as a table in Markdown.

use std::collections::BTreeMap;

use super::rows::{Row, Value};

/// The numbers of a run.
pub struct Report {
    servers: Vec<&'static str>,
    /// Row and unit in the order they were measured, and for each server its numbers.
    lines: Vec<(String, BTreeMap<usize, Vec<f64>>)>,
}

impl Report {
    /// An empty one for these servers; ratios are of the first to each other.
    pub fn new(servers: Vec<&'static str>) -> Report {
        Report { servers, lines: Vec::new() }
    }

    /// Takes in the numbers of one server in one round.
    pub fn add(&mut self, row: &Row, server: usize, values: Vec<Value>) {
        for value in values {
            let name = format!("{}, {}", row.name, value.unit);
            let line = match self.lines.iter().position(|(line, _)| *line == name) {
                Some(line) => line,
                None => {
                    self.lines.push((name, BTreeMap::new()));
                    self.lines.len() - 1
                }
            };
            self.lines[line].1.entry(server).or_default().push(value.number);
        }
    }

    /// Prints the head of the table.
    #[allow(clippy::print_stdout, reason = "the table is what the command is for")]
    pub fn print_head(&self) {
        let mut head = format!("| row | {} |", self.servers.join(" | "));
        for other in self.servers.iter().skip(1) {
            head += &format!(" / {other} |");
        }
        println!("{head}\n|---|{}", "---|".repeat(self.servers.len() * 2 - 1));
    }

    /// Prints the lines since the last call: the median of each server, and the first one's ratio
    /// to each other. A benchmark that is cut short has printed what it has measured.
    #[allow(clippy::print_stdout, reason = "the table is what the command is for")]
    pub fn print(&mut self) {
        for (name, numbers) in self.lines.drain(..) {
            let median = |server: usize| numbers.get(&server).and_then(|all| median(all));
            let mut line = format!("| {name} |");
            for server in 0..self.servers.len() {
                line += &median(server)
                    .map_or_else(|| " – |".to_owned(), |n| format!(" {} |", short(n)));
            }
            for other in 1..self.servers.len() {
                line += &match (median(0), median(other)) {
                    (Some(own), Some(other)) if other > 0.0 => format!(" {:.2} |", own / other),
                    _ => " – |".to_owned(),
                };
            }
            println!("{line}");
        }
    }
}

fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some((upper + lower) / 2.0)
}

/// Three digits that mean something.
fn short(number: f64) -> String {
    match number.abs() {
        large if large >= 100.0 => format!("{number:.0}"),
        middle if middle >= 10.0 => format!("{number:.1}"),
        middle if middle >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
