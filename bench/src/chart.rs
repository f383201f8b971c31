//! Charts of a run: for each row the servers side by side, a bar for the median and a line for the
//! spread. SVG, written by hand: a few rectangles and texts.

use std::{fs, path::Path};

use xtask::command::{Done, make_directory};

use crate::report::{Line, Report, median, short};

/// The charts: file, heading, and which units belong to it. The last one takes what is left.
const CHARTS: [(&str, &str, &[&str]); 4] = [
    ("cpu.svg", "CPU time of the server", &["CPU"]),
    ("memory.svg", "Memory of the server", &["PSS"]),
    ("wall.svg", "Time of the whole", &["wall"]),
    ("latency.svg", "Waiting, and the spread between clients", &[""]),
];

/// Colours of the servers, the first of them ours: told apart by people who see no red or green.
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#999999", "#56b4e9"];

/// Sizes in pixels.
const WIDTH: f64 = 860.0;
const LABELS: f64 = 330.0;
const BAR: f64 = 12.0;
const GAP: f64 = 12.0;
const TOP: f64 = 56.0;

/// Draws all charts into a directory.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(report: &Report, directory: &Path, note: &str) -> Done<()> {
    make_directory(directory)?;
    let mut left: Vec<&Line> = report.lines.iter().collect();
    for (file, heading, units) in CHARTS {
        let of_chart = |line: &&Line| units.iter().any(|unit| belongs(line, unit));
        let (lines, others): (Vec<&Line>, Vec<&Line>) = left.into_iter().partition(of_chart);
        left = others;
        if lines.is_empty() {
            continue;
        }
        let file = directory.join(file);
        let text = chart(&report.servers, &lines, heading, note);
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}

/// Whether a unit has this word: `CPU` of `CPU s/GiB`, `wall` of `full, wall ms`.
fn belongs(line: &Line, word: &str) -> bool {
    word.is_empty() || line.unit.split([' ', ',']).any(|part| part == word)
}

/// One chart. Each row has a scale of its own: its longest bar is that of its slowest server.
fn chart(servers: &[&str], lines: &[&Line], heading: &str, note: &str) -> String {
    let row = BAR * servers.len() as f64 + GAP;
    let height = TOP + row * lines.len() as f64 + 24.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"15\">{}: shorter is better</text>\n",
        escaped(heading)
    );
    for (at, server) in servers.iter().enumerate() {
        let x = 8.0 + 110.0 * at as f64;
        out += &format!(
            "<rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"39\">{}</text>\n",
            colour(at),
            x + 14.0,
            escaped(server)
        );
    }
    for (at, line) in lines.iter().enumerate() {
        out += &bars(servers.len(), line, TOP + row * at as f64);
    }
    out + &format!(
        "<text x=\"8\" y=\"{}\" fill=\"#666666\">{}</text>\n</svg>\n",
        height - 8.0,
        escaped(note)
    )
}

/// The bars of a row, from `top` down.
fn bars(servers: usize, line: &Line, top: f64) -> String {
    let all = line.numbers.values().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - 70.0) / all;
    let mut out = format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
        LABELS - 8.0,
        top + BAR * servers as f64 / 2.0 + 4.0,
        escaped(&line.name)
    );
    for server in 0..servers {
        let Some(numbers) = line.numbers.get(&server) else { continue };
        let Some(middle) = median(numbers) else { continue };
        let y = top + BAR * server as f64;
        let length = middle * scale;
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min) * scale;
        let most = numbers.iter().copied().fold(0.0, f64::max) * scale;
        out += &format!(
            "<rect x=\"{LABELS}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{}\" fill=\"{}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{mid:.1}\" y2=\"{mid:.1}\" stroke=\"#000000\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            BAR - 2.0,
            colour(server),
            LABELS + least,
            LABELS + most,
            LABELS + length.max(most) + 5.0,
            y + BAR - 3.0,
            short(middle),
            mid = y + BAR / 2.0 - 1.0,
        );
    }
    out
}

fn colour(server: usize) -> &'static str {
    COLOURS[server % COLOURS.len()]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn line(name: &str, unit: &'static str) -> Line {
        let numbers = BTreeMap::from([(0, vec![1.0, 2.0, 1.5]), (1, vec![4.0])]);
        Line { name: name.into(), unit, numbers }
    }

    #[test]
    fn a_row_is_in_one_chart_with_a_bar_for_each_server_and_its_spread() {
        let mut report = Report::new(vec!["bulkhead", "a <peer>", "absent"]);
        report.lines = vec![
            line("RETR, CPU s", "CPU s"),
            line("handshake, full, wall ms", "full, wall ms"),
            line("idle, PSS KiB", "PSS KiB"),
            line("LIST, first byte ms", "first byte ms"),
        ];
        let place = std::env::temp_dir().join(format!("bulkhead-chart-{}", std::process::id()));
        draw(&report, &place, "a note").unwrap();
        let read = |file: &str| fs::read_to_string(place.join(file)).unwrap();
        for (file, row) in [
            ("cpu.svg", "RETR"),
            ("wall.svg", "handshake"),
            ("memory.svg", "idle"),
            ("latency.svg", "LIST"),
        ] {
            let text = read(file);
            assert_eq!(text.matches("text-anchor").count(), 1, "{file} has one row");
            assert!(
                text.contains(row) && text.contains("a &lt;peer&gt;") && text.contains("a note")
            );
            // Two servers were measured; three stand in the legend, before the white background.
            assert_eq!(text.matches("<rect").count(), 1 + 3 + 2, "{file}");
            assert_eq!(text.matches("<line").count(), 2, "{file}");
        }
        // The spread of the first goes from 1 to 2, where the longest bar is 4.
        let scale = (WIDTH - LABELS - 70.0) / 4.0;
        let spread = format!("x1=\"{:.1}\" x2=\"{:.1}\"", LABELS + scale, LABELS + 2.0 * scale);
        assert!(read("cpu.svg").contains(&spread));
        fs::remove_dir_all(place).unwrap();
    }
}
