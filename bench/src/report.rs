//! Medians and ratios as a table in Markdown, and what the charts are drawn from.

use std::collections::BTreeMap;

use crate::rows::{Row, Value};

/// A number of a row, of all servers.
pub struct Line {
    /// Row and unit.
    pub name: String,
    /// The unit.
    pub unit: &'static str,
    /// For each server, by its place in the table, its numbers.
    pub numbers: BTreeMap<usize, Vec<f64>>,
}

/// The numbers of a run.
pub struct Report {
    /// Names of the servers; ratios are of the first to each other.
    pub servers: Vec<&'static str>,
    /// In the order they were measured.
    pub lines: Vec<Line>,
    /// How many of the lines are printed.
    printed: usize,
    /// The largest share of a core that other processes used during the row that is measured.
    disturbed: Option<f64>,
    /// Rows that were disturbed.
    not_quiet: usize,
}

impl Report {
    /// An empty one for these servers.
    pub fn new(servers: Vec<&'static str>) -> Report {
        Report { servers, lines: Vec::new(), printed: 0, disturbed: None, not_quiet: 0 }
    }

    /// Takes in the numbers of one server in one round.
    pub fn add(&mut self, row: &Row, server: usize, values: Vec<Value>) {
        for value in values {
            let name = format!("{}, {}", row.name, value.unit);
            let at = self.lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
                self.lines.push(Line { name, unit: value.unit, numbers: BTreeMap::new() });
                self.lines.len() - 1
            });
            if let Some(line) = self.lines.get_mut(at) {
                line.numbers.entry(server).or_default().push(value.number);
            }
        }
    }

    /// Notes that other processes used this share of a core meanwhile.
    pub fn note_disturbance(&mut self, share: f64) {
        self.disturbed = Some(self.disturbed.map_or(share, |before| before.max(share)));
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
        let disturbed = self.disturbed.take();
        self.not_quiet += usize::from(disturbed.is_some());
        let mark = disturbed.map_or(String::new(), |share| {
            format!(" (not quiet: others used {:.0} % of a core)", share * 100.0)
        });
        for line in self.lines.iter().skip(self.printed) {
            println!("{}", self.text(line, &mark));
        }
        self.printed = self.lines.len();
    }

    /// Prints how many rows were disturbed, if any was.
    #[allow(clippy::print_stdout, reason = "the table is what the command is for")]
    pub fn print_end(&self) {
        if self.not_quiet > 0 {
            println!(
                "\nNot quiet: other processes used more than 5 % of a core during {} rows; their \
                 numbers prove nothing.",
                self.not_quiet
            );
        }
    }

    fn text(&self, line: &Line, mark: &str) -> String {
        let middle = |server: usize| line.numbers.get(&server).and_then(|all| median(all));
        let mut text = format!("| {}{mark} |", line.name);
        for server in 0..self.servers.len() {
            text +=
                &middle(server).map_or_else(|| " – |".to_owned(), |n| format!(" {} |", short(n)));
        }
        for other in 1..self.servers.len() {
            text += &match (middle(0), middle(other)) {
                (Some(own), Some(other)) if other > 0.0 => format!(" {:.2} |", own / other),
                _ => " – |".to_owned(),
            };
        }
        text
    }
}

/// The middle of the numbers.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some((upper + lower) / 2.0)
}

/// Three digits that mean something.
pub fn short(number: f64) -> String {
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

    #[test]
    fn a_line_has_medians_and_ratios_and_says_that_it_was_not_quiet() {
        let report = Report::new(vec!["bulkhead", "other", "absent"]);
        let numbers = BTreeMap::from([(0, vec![1.0, 3.0, 2.0]), (1, vec![4.0])]);
        let line = Line { name: "NOOP, CPU us".into(), unit: "CPU us", numbers };
        let text = report.text(&line, " (not quiet)");
        assert_eq!(text, "| NOOP, CPU us (not quiet) | 2.00 | 4.00 | – | 0.50 | – |");
    }
}
